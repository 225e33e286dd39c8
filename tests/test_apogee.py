"""APOGEE's spectra, and files that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from fastcannon import surveys
from fastcannon.errors import FileFormatError, InputError
from fastcannon.fitsimages import read_hdus
from fastcannon.surveys import apogee
from fastcannon.surveys.bitmasks import APOGEE_PIXMASK

PIXELS = 8575
NAME = "2M00000002+7417074"
GOOD = slice(322, 3242)  # pixels of the test spectra that are good


def images(n_rows, seed=1):
    """Flux, error and mask (n_rows, 8575) as on a detector: NaN and bad at its ends."""
    rng = np.random.default_rng(seed)
    error = np.full((n_rows, PIXELS), np.nan)
    error[:, GOOD] = rng.uniform(5, 20, error[:, GOOD].shape)
    flux = np.where(np.isnan(error), np.nan, 900 + 10 * rng.normal(size=error.shape))
    return flux, error, np.zeros((n_rows, PIXELS), dtype=np.int64)


def write_apstar(
    path, flux, error, mask, n_visits=1, header=None, grid=None, version="r12"
):
    """Write an apStar file in the true layout, as far as its fourth HDU."""
    folder = path / "stars" / "apo25m" / "120+12"
    folder.mkdir(parents=True, exist_ok=True)
    primary = fits.PrimaryHDU()
    primary.header.update(
        FIELD="120+12", OBJID=NAME, SNR=85.5, NVISITS=n_visits, STARFLAG=512, VHELIO=3.5
    )
    for visit in range(1, n_visits + 1):
        primary.header[f"JD{visit}"] = 2456396.5 + visit
        primary.header[f"FIBER{visit}"] = 200 + visit
        primary.header[f"VHELIO{visit}"] = 15.0 + visit
        primary.header[f"SNRVIS{visit}"] = 40.0 + visit
        primary.header[f"FLAG{visit}"] = 2**visit
    primary.header.update(header or {})
    hdus = fits.HDUList([primary, *map(fits.ImageHDU, (flux, error, mask))])
    for hdu in hdus[1:]:
        for key, value in {
            "CRVAL1": 4.179,
            "CDELT1": 6e-6,
            "CRPIX1": 1,
            "CTYPE1": "LOG-LINEAR",
            **(grid or {}),
        }.items():
            if value is not None:
                hdu.header[key] = value
    file = folder / f"apStar-{version}-{NAME}.fits"
    hdus.writeto(file, overwrite=True)
    return file


def read(path, **options):
    groups, refused = apogee.groups([path])
    assert not refused
    return apogee.read_group(groups[0], **options)


# ---------------------------------------------------------------- grid and cuts


def test_grid_and_regions():
    step = np.diff(np.log10(apogee.WAVELENGTH))
    assert apogee.WAVELENGTH.shape == (PIXELS,)
    np.testing.assert_allclose(step, 6e-6, rtol=1e-8)
    assert apogee.WAVELENGTH[0] == 10**4.179 and apogee.MEDIUM == "vacuum"
    inside = [
        (apogee.WAVELENGTH >= low) & (apogee.WAVELENGTH <= high)
        for low, high in apogee.REGIONS
    ]
    assert [int(part.sum()) for part in inside] == [2920, 2400, 1894]  # 7214 pixels


def test_cuts_are_the_bits_of_the_paper():
    def bits(column):
        value = apogee.FLAGS[column].value(apogee.CUTS[column]["without"])
        return [bit for bit in range(64) if value >> bit & 1]

    assert bits("ASPCAPFLAG") == [16, 17, 18, 19, 20, 23]
    assert bits("STARFLAG") == [0, 3, 4, 9, 10, 11, 12, 13, 17]
    assert bits("EXTRATARG") == [4]
    assert apogee.CUTS["snr"] == "> 80"


# ------------------------------------------------------------------- spectra


def test_combined_spectrum(tmp_path):
    flux, error, mask = images(5)
    file = write_apstar(tmp_path, flux, error, mask, n_visits=3)
    (row,) = read(file)
    assert row.flux.dtype == row.ivar.dtype == np.float32
    np.testing.assert_array_equal(row.flux[GOOD], flux[0, GOOD].astype(np.float32))
    np.testing.assert_allclose(row.ivar[GOOD], error[0, GOOD] ** -2.0, rtol=1e-6)
    outside = np.delete(np.arange(PIXELS), np.r_[GOOD])
    assert not row.ivar[outside].any() and not row.flux[outside].any()
    assert set(row.facts) == set(apogee.FACTS)
    facts = {key: row.facts[key] for key in ("id", "star_id", "visit", "snr", "rv")}
    assert facts == {
        "id": f"apo25m.120+12.{NAME}",
        "star_id": NAME,
        "visit": 0,
        "snr": 85.5,
        "rv": 3.5,
    }
    assert row.facts["file"] == str(file) and row.facts["STARFLAG"] == 512
    assert row.facts["n_visits"] == 3 and np.isnan(row.facts["jd"])


def test_bad_pixels_have_no_weight(tmp_path):
    flux, error, mask = images(2)
    flux[0, 400] = np.nan
    flux[0, 401] = np.inf
    error[0, 402] = 0.0
    error[0, 403] = -1.0
    error[0, 404] = 4.5e13  # as in real files
    error[0, 405] = np.nan
    flux[0, 406] = error[0, 406] = 0.0
    flux[0, 407] = 1e35
    bad = [APOGEE_PIXMASK.bits[name] for name in apogee.DEFAULT_BAD_PIXELS]
    assert bad == [*range(8), 14]
    mask[0, 500:517] = 2 ** np.arange(17)
    (row,) = read(write_apstar(tmp_path, flux, error, mask))
    assert np.isfinite(row.flux).all() and np.isfinite(row.ivar).all()
    assert not row.ivar[400:408].any() and row.ivar[408] > 0
    assert np.flatnonzero(row.ivar[500:517] == 0).tolist() == bad
    # a flagged pixel keeps its flux
    np.testing.assert_array_equal(row.flux[500:517], flux[0, 500:517].astype("f4"))


def test_bad_pixels_can_be_chosen(tmp_path):
    flux, error, mask = images(2)
    mask[0, 500:517] = 2 ** np.arange(17)
    file = write_apstar(tmp_path, flux, error, mask.astype(np.int16))  # as until DR16
    (row,) = read(file, bad_pixels=["persist_high", "FERRE_MASK"])
    assert np.flatnonzero(row.ivar[500:517] == 0).tolist() == [9]
    (row,) = read(file, bad_pixels=[])
    assert (row.ivar[500:517] > 0).all()
    with pytest.raises(InputError, match="did you mean SIG_SKYLINE"):
        read(file, bad_pixels=["SKYLINE"])


def test_visits_follow_the_combined_spectrum(tmp_path):
    flux, error, mask = images(5)
    mask[3, 600] = 1
    file = write_apstar(tmp_path, flux, error, mask, n_visits=3)
    rows = read(file, visits=True)
    assert [row.facts["visit"] for row in rows] == [0, 1, 2, 3]
    for row, plane in zip(rows, (0, 2, 3, 4), strict=True):  # row 1: other weights
        expected = flux[plane, GOOD].astype(np.float32)
        np.testing.assert_array_equal(row.flux[GOOD], expected)
    assert rows[2].ivar[600] == 0 and rows[1].ivar[600] > 0
    one = rows[2].facts
    assert one["id"] == f"apo25m.120+12.{NAME}.v2" and one["star_id"] == NAME
    assert (one["snr"], one["fiber"], one["STARFLAG"]) == (42.0, 202, 4)
    assert (one["jd"], one["rv"]) == (2456398.5, 17.0)
    assert one["n_empty"] == 0


@pytest.mark.parametrize("layout", ["zero row", "one row", "vector", "copy"])
def test_a_single_visit_is_no_repeat(tmp_path, layout):
    n_rows = {"zero row": 2, "one row": 1, "vector": 1, "copy": 3}[layout]
    flux, error, mask = images(n_rows)
    if layout == "zero row":
        flux[1], error[1] = 0.0, 0.0
    if layout == "copy":
        flux[2], error[2] = flux[0], error[0]
    arrays = (flux[0], error[0], mask[0]) if layout == "vector" else (flux, error, mask)
    file = write_apstar(tmp_path, *arrays)
    for visits in (False, True):
        (row,) = read(file, visits=visits)
        np.testing.assert_array_equal(row.flux[GOOD], flux[0, GOOD].astype("f4"))
        assert row.facts["visit"] == 0 and row.facts["snr"] == 85.5


def test_empty_visits_are_left_out_and_counted(tmp_path):
    flux, error, mask = images(6)
    flux[3], error[3] = 0.0, 0.0
    file = write_apstar(tmp_path, flux, error, mask, n_visits=4)
    rows = read(file, visits=True)
    assert [row.facts["visit"] for row in rows] == [0, 1, 3, 4]
    assert {row.facts["n_empty"] for row in rows} == {1}
    assert rows[2].facts["snr"] == 43.0
    # two visits, one of them empty: the other one is the combined spectrum
    file = write_apstar(tmp_path, flux[:4], error[:4], mask[:4], n_visits=2)
    rows = read(file, visits=True)
    assert [row.facts["visit"] for row in rows] == [0]
    assert rows[0].facts["n_empty"] == 1


def test_missing_snr_is_the_median_over_pixels(tmp_path):
    flux, error, mask = images(4)
    header = {"SNRVIS1": 0.0, "SNR": "nan", "JD2": -9999.0}
    file = write_apstar(tmp_path, flux, error, mask, n_visits=2, header=header)
    rows = read(file, visits=True)
    for row, plane in zip(rows[:2], (0, 2), strict=True):
        expected = np.nanmedian(flux[plane] / error[plane])
        assert row.facts["snr"] == pytest.approx(expected, rel=1e-5)
    assert rows[2].facts["snr"] == 42.0 and np.isnan(rows[2].facts["jd"])


def test_names_come_from_header_and_path(tmp_path):
    header = {"FIELD": "  ", "OBJID": f" {NAME}  ", "NVISITS": "", "SNR": 1.0}
    file = write_apstar(tmp_path, *images(1), header=header)
    (row,) = read(file)
    assert row.facts["id"] == f"apo25m.120+12.{NAME}"  # field: the folder
    assert row.facts["n_visits"] == 0
    south = file.rename(file.with_name(f"asStar-dr17-{NAME}.fits"))
    assert read(south)[0].facts["telescope"] == "apo25m"  # the folder says so
    plain = tmp_path / south.name
    south.rename(plain)
    assert read(plain)[0].facts["telescope"] == "lco25m"
    small = tmp_path / "apo1m" / "hip" / f"apStar-r12-{NAME}.fits"
    small.parent.mkdir(parents=True)
    plain.rename(small)
    assert read(small)[0].facts["id"] == f"apo1m.hip.{NAME}"


def test_object_without_a_name_in_its_header(tmp_path):
    file = write_apstar(tmp_path, *images(1), header={"OBJID": ""})
    assert read(file)[0].facts["star_id"] == NAME


# ------------------------------------------------------------ normalised spectra


def write_aspcapstar(path, flux, error, table=None, name=f"aspcapStar-r12-{NAME}.fits"):
    hdus = [fits.ImageHDU(np.asarray(array, "f4")) for array in (flux, error, flux)]
    for hdu in hdus:
        hdu.header.update(CRVAL1=4.179, CDELT1=6e-6, CRPIX1=1)
    if table is not None:
        hdus.append(fits.table_to_hdu(table))
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path / name)
    return path / name


@pytest.mark.parametrize("rows", [None, 2])
def test_aspcapstar(tmp_path, rows):
    rng = np.random.default_rng(4)
    flux, error = np.zeros(PIXELS), np.zeros(PIXELS)
    flux[GOOD], error[GOOD] = rng.uniform(0.7, 1.05, 2920), 0.01
    error[700] = 1e10
    shaped = [a if rows is None else np.tile(a, (rows, 1)) for a in (flux, error)]
    named = {"APOGEE_ID": [f"{NAME}  "], "FIELD": ["N188"], "TELESCOPE": ["lco25m"]}
    file = write_aspcapstar(tmp_path, *shaped, Table(named))
    (row,) = read(file, visits=True)
    assert np.count_nonzero(row.ivar) == 2919 and row.ivar[700] == 0
    np.testing.assert_array_equal(row.flux[GOOD], flux[GOOD].astype("f4"))
    assert row.facts["id"] == f"lco25m.N188.{NAME}"
    assert row.facts["snr"] == pytest.approx(np.median(flux[GOOD]) / 0.01, rel=1e-3)
    found = surveys.read("apogee", [file])
    assert found.normalised is True and len(found) == 1


def test_aspcapstar_with_lists_for_names_is_refused(tmp_path):
    flux = np.ones(PIXELS)
    table = Table({"FIELD": ["12345678"]})  # as long as a length and a place
    path = write_aspcapstar(tmp_path, flux, 0.01 * flux, table)
    content = path.read_bytes()
    assert content.count(b"'8A      '") == 1
    path.write_bytes(content.replace(b"'8A      '", b"'1PA(9)  '"))
    with pytest.raises(FileFormatError, match="HDU 4, column FIELD: lists of any leng"):
        read(path)


def test_aspcapstar_without_a_table_is_named_by_its_path(tmp_path):
    flux = np.ones(PIXELS)
    name = f"aspcapStar-r12-l33-{NAME}.fits"  # as in DR16
    folder = tmp_path / "apo25m" / "N188"
    folder.mkdir(parents=True)
    (row,) = read(write_aspcapstar(folder, flux, 0.01 * flux, name=name))
    assert row.facts["id"] == f"apo25m.N188.{NAME}"


def test_normalised_and_other_spectra_are_not_mixed(tmp_path):
    aspcap = write_aspcapstar(tmp_path, np.ones(PIXELS), np.full(PIXELS, 0.01))
    star = write_apstar(tmp_path, *images(1))
    groups, _ = apogee.groups([aspcap, star])
    with pytest.raises(InputError, match=r"aspcapStar .* given together; read them ap"):
        apogee.is_normalised(groups)
    assert apogee.is_normalised(groups[:1], visits=True) != apogee.is_normalised(
        groups[1:], visits=True
    )


# -------------------------------------------------------- files that cannot be used


def test_files_of_other_kinds_are_refused_by_name(tmp_path):
    visit = "apVisit-r13-5095-55844-128.fits"
    paths = ["b/apStar-r12-2M1.fits", visit, "allStar.fits", "a/asStar-dr17-2M2.fits"]
    paths.append("apStar-r12-2M1.fits.gz")
    groups, refused = apogee.groups([tmp_path / path for path in paths])
    assert [Path(group.paths[0]).name for group in groups] == [
        "asStar-dr17-2M2.fits",
        "apStar-r12-2M1.fits",
    ]
    reasons = {one.path.rpartition("/")[2]: one.reason for one in refused}
    assert set(reasons) == {visit, "allStar.fits", "apStar-r12-2M1.fits.gz"}
    assert "neither resampled nor in the rest frame" in reasons[visit]
    assert "not compressed" in reasons["apStar-r12-2M1.fits.gz"]


def cut(file, n_blocks):
    file.write_bytes(file.read_bytes()[: 2880 * n_blocks])
    return file


def truncated(path):
    return cut(write_apstar(path, *images(5)), 300)  # the mask ends before the visits


def truncated_error(path):
    return cut(write_apstar(path, *images(1)), 35)  # within the error's only row


def truncated_early(path):
    return cut(write_apstar(path, *images(5)), 40)  # within the flux


def only_a_header(path):
    return cut(write_apstar(path, *images(5)), 1)


def text_file(path):
    file = path / f"apStar-r12-{NAME}.fits"
    file.write_text("<html>404: not found</html>\n" * 200)
    return file


def absent(path):
    return path / f"apStar-r12-{NAME}.fits"


def without_mask(path):
    file = write_apstar(path, *images(1))
    with fits.open(file) as hdus:
        fits.HDUList([hdu.copy() for hdu in hdus[:3]]).writeto(file, overwrite=True)
    return file


def other_length(path):
    flux, error, mask = images(1)
    return write_apstar(path, flux, error[:, :-1], mask)


def detectors(path):
    return write_apstar(path, *(np.ones((3, 4096), dtype=int) for _ in range(3)))


def no_row(path):
    return write_apstar(path, *images(0))


def cube(path):
    return write_apstar(path, *(array[None] for array in images(2)))


def float_mask(path):
    flux, error, mask = images(1)
    return write_apstar(path, flux, error, mask.astype(float))


def table_of_errors(path):
    file = write_apstar(path, *images(1))
    with fits.open(file) as hdus:
        table = fits.table_to_hdu(Table({"error": [1.0]}))
        parts = [hdus[0].copy(), hdus[1].copy(), table, hdus[3].copy()]
        fits.HDUList(parts).writeto(file, overwrite=True)
    return file


def no_start(path):
    return write_apstar(path, *images(1), grid={"CRVAL1": None})


def other_start(path):
    return write_apstar(path, *images(1), grid={"CRVAL1": 4.17904})


def other_step(path):
    return write_apstar(path, *images(1), grid={"CDELT1": 6.001e-6})


def other_pixel(path):
    return write_apstar(path, *images(1), grid={"CRPIX1": 0})


def all_masked(path):
    flux, error, mask = images(1)
    return write_apstar(path, flux, error, mask + 1)


@pytest.mark.parametrize(
    "make, reason",
    [
        (truncated, "HDU 3: the file is cut short: its headers demand 1045720 bytes"),
        (truncated_error, "HDU 2: the file is cut short: its headers demand 146360 b"),
        (truncated_early, "HDU 1: the file is cut short: .* it has 115200"),
        (only_a_header, "has 1 HDUs; expected at least 4: it is cut short"),
        (text_file, "is not a FITS file: it begins with b'<html>404"),
        (absent, "cannot be read as FITS"),
        (without_mask, "has 3 HDUs; expected at least 4"),
        (other_length, r"HDU 2: an image of shape \(1, 8574\); expected \(8575,\) or"),
        (detectors, r"HDU 1: an image of shape \(3, 4096\)"),
        (no_row, r"HDU 1: an image of shape \(0, 8575\)"),
        (cube, r"HDU 1: an image of shape \(1, 2, 8575\)"),
        (float_mask, "HDU 3: the bit mask has type float64; expected integers"),
        (table_of_errors, r"HDU 2: an image of shape \(\)"),
        (no_start, "HDU 1: CRVAL1 is missing; expected 4.179"),
        (other_start, "HDU 1: CRVAL1 is 4.17904; expected 4.179"),
        (other_step, "HDU 1: CDELT1 is 6.001e-06; expected 6e-06"),
        (other_pixel, "HDU 1: CRPIX1 is 0; expected 1"),
        (all_masked, "HDU 1-3: no usable pixel"),
    ],
)
def test_bad_files_are_refused_and_the_rest_goes_on(tmp_path, make, reason):
    bad = make(tmp_path / "bad" if make is not text_file else tmp_path)
    with pytest.raises(FileFormatError, match=reason) as error:
        read(bad, visits=True)
    assert str(error.value).startswith(str(bad)) and "\n" not in str(error.value)
    good = write_apstar(tmp_path / "good", *images(2))
    good = good.parent.rename(good.parent.with_name("121+12")) / good.name
    found = surveys.read("apogee", [bad, good], visits=True)
    assert len(found) == 1 and found.table["star_id"][0] == NAME
    assert [tuple(one[:2]) for one in found.refused] == [(str(bad), str(error.value))]


def test_a_second_copy_of_a_file_is_refused(tmp_path):
    first = write_apstar(tmp_path / "a", *images(2))
    second = write_apstar(tmp_path / "b", *images(2))
    found = surveys.read("apogee", [second, first, second])
    assert len(found) == 1 and found.table["file"][0] == str(first)
    assert [refused.path for refused in found.refused] == [str(second)]
    assert f"is there twice; {first} is used" in found.refused[0].reason


def test_what_lies_behind_the_spectra_is_not_looked_at(tmp_path):
    file = write_apstar(tmp_path, *images(1))
    with fits.open(file) as hdus:
        hdus.append(fits.ImageHDU(np.zeros((2, PIXELS))))
        hdus.writeto(file, overwrite=True)
    whole = read(file)[0]
    file.write_bytes(file.read_bytes()[: -2880 * 20])
    np.testing.assert_array_equal(read(file)[0].ivar, whole.ivar)


# ----------------------------------------------------------------- real spectra


def test_real_apstar_files(data_dir):
    files = sorted((data_dir / "apogee").glob("ap*.fits"))
    assert len(files) == 4
    found = surveys.read("apogee", files)
    assert list(found.table["id"]) == [
        "apo25m.000+02.2M17335483-2753043",  # no folder: apo25m by the file's prefix
        "apo25m.K04_083+13.2M19485057+5005279",
    ]
    assert [refused.path for refused in found.refused] == [str(p) for p in files[2:]]
    assert all("rest frame" in refused.reason for refused in found.refused)
    assert not found.normalised and found.medium == "vacuum"
    np.testing.assert_allclose(found.table["snr"], [154.155, 137.489], atol=1e-3)
    used = (found.ivar > 0).mean(axis=1)
    np.testing.assert_allclose(used, [0.9029, 0.8936], atol=1e-4)
    # the header's S/N is the median over pixels: 155.1 and 138.2 on the good ones
    for flux, ivar, snr in zip(found.flux, found.ivar, found.table["snr"], strict=True):
        assert np.median((flux * ivar**0.5)[ivar > 0]) == pytest.approx(snr, rel=0.02)


def test_real_visits(data_dir):
    files = sorted((data_dir / "apogee").glob("apStar*.fits"))
    found = surveys.read("apogee", files, visits=True)
    assert found.table["visit"].tolist() == [0, 1, 2, 3, 0]
    assert found.table["n_visits"].tolist() == [3, 3, 3, 3, 1]
    assert found.table["fiber"].tolist() == [0, 212, 221, 221, 0]
    np.testing.assert_allclose(
        found.table["snr"][1:4], [67.202, 90.562, 105.896], atol=1e-3
    )
    # the visits are the combined spectrum but for noise and their depth
    warned = ("SIG_SKYLINE", "SIG_TELLURIC")
    without = (*apogee.DEFAULT_BAD_PIXELS, *warned)
    found = surveys.read("apogee", files, visits=True, bad_pixels=without)
    good = (found.ivar[:4] > 0).all(axis=0)
    flux = found.flux[:4, good] / np.median(found.flux[:4, good], axis=1)[:, None]
    snr = np.asarray(found.table["snr"])
    for visit in (1, 2, 3):
        scatter = np.std(flux[visit] - flux[0])
        assert scatter < 1.5 / snr[visit] + 0.02, scatter


def test_real_noise_below_sky_lines_is_in_the_errors(data_dir):
    """Why the warnings of sky and telluric lines are no default bad pixels."""
    file = sorted((data_dir / "apogee").glob("apStar*.fits"))[0]
    mask = read_hdus(file)[3].rows([2, 3, 4])
    combined, *visits = read(file, visits=True)
    for visit, flagged in zip(visits, mask, strict=True):
        ratio = np.median(combined.flux) / np.median(visit.flux)
        away = (visit.flux * ratio - combined.flux) * visit.ivar**0.5 / ratio
        good = (visit.ivar > 0) & (combined.ivar > 0)
        # rms in errors, measured: sky 0.8-1.2, telluric 1.1-2.1; both 0.9-1.2 if not
        for bit, limit in ((12, 1.4), (13, 2.4)):
            lines = good & (flagged & 1 << bit > 0)
            assert lines.sum() > 150
            assert np.mean(away[lines] ** 2) ** 0.5 < limit


@pytest.mark.parametrize(
    "header",
    [
        {"NVISITS": 3_000_000_000},
        {"SNR": 1e300},
        {"STARFLAG": 10**19},
        {"STARFLAG": "none"},
    ],
)
def test_odd_numbers_in_headers_stop_nothing(tmp_path, header):
    file = write_apstar(tmp_path, *images(1), header=header)
    row = surveys.read("apogee", [file]).table[0]
    assert np.isfinite(row["snr"])
    if "STARFLAG" in header:
        assert row["STARFLAG"] == -1  # passes no cut


def test_a_grid_of_absurd_numbers_is_refused(tmp_path):
    file = write_apstar(tmp_path, *images(1))
    content = file.read_bytes()
    assert b"CRVAL1  =                4.179" in content
    number = b"CRVAL1  = 99999999999999999999"
    file.write_bytes(content.replace(b"CRVAL1  =                4.179", number))
    with pytest.raises(InputError, match="CRVAL1"):
        surveys.read("apogee", [file])
