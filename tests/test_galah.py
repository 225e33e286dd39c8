"""GALAH: files of both releases, catalogues, and everything that can be wrong."""

from collections import Counter

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from fastcannon import surveys
from fastcannon.cuts import check_condition
from fastcannon.errors import FileFormatError, InputError
from fastcannon.surveys import galah, galah_catalogue

KEY = "140310002101365"
OBSERVED = ((4713.5, 0.04601), (5648.7, 0.05468), (6477.8, 0.06313), (7585.0, 0.07355))


def normalised(wavelength):
    """A spectrum with lines as wide as those of HERMES, four in an Angstrom."""
    lines = np.arange(4700.0, 7900.0, 3.7)
    depth = np.zeros(len(wavelength))
    for line in lines:
        depth += 0.3 * np.exp(-0.5 * ((wavelength - line) / 0.15) ** 2)
    return 1 - depth


def arm_arrays(arm, rv, n):
    """Observed wavelengths of the pixels, rest-frame flux, counts, relative error."""
    first, step = OBSERVED[arm - 1]
    observed = first + step * np.arange(n)
    flux = normalised(observed / (1 + rv / galah.LIGHT))
    counts = flux * (1000 + np.linspace(0, 300, n))
    return observed, flux, counts, np.full(n, 0.02)


def dr3_hdus(arm, rv=30.0, n=4100):
    first, step = OBSERVED[arm - 1]
    _, flux, counts, error = arm_arrays(arm, rv, n)
    hdus = [fits.PrimaryHDU(counts.astype(np.float32))]
    for values in (error, counts, error):
        hdus.append(fits.ImageHDU(values.astype(np.float32)))
    hdus.append(fits.ImageHDU(flux))
    for hdu in hdus:
        shift = 1 / (1 + rv / galah.LIGHT) if hdu is hdus[4] else 1
        hdu.header["CRVAL1"], hdu.header["CDELT1"] = first * shift, step * shift
        hdu.header["CRPIX1"] = 1.0
    hdus[0].header.update(PIPE_VER=5.3, UTMJD=56726.4, W_RMS=0.01 * arm)
    return hdus


def reduction6_hdus(arm, rv=30.0, n=4096):
    first, step = OBSERVED[arm - 1]
    _, flux, counts, error = arm_arrays(arm, rv, n)
    hdus = [fits.PrimaryHDU(counts), fits.ImageHDU(flux), fits.ImageHDU(error)]
    hdus += [fits.ImageHDU(np.zeros(n)) for _ in range(5)]
    for hdu in hdus:
        hdu.header["CRVAL1"], hdu.header["CDELT1"] = first, step
    hdus[0].header.update(PIPE_VER="6.0", UTMJD=59229.5, WAV_RMS=0.02)
    hdus[0].header.update(RV=99.0, RVCOM=rv, RVCOM_OK=1)
    hdus[0].header["2MASS_ID"] = "05505952+0759226"
    return hdus


def write(folder, make=dr3_hdus, key=KEY, arms=(1, 2, 3, 4), **options):
    """Write files of a star and return their paths."""
    folder.mkdir(exist_ok=True)
    paths = []
    for arm in arms:
        paths.append(folder / f"{key}{arm}.fits")
        fits.HDUList(make(arm, **options)).writeto(paths[-1])
    return paths


def change(path, number, edit):
    """Rewrite a file with one HDU changed by ``edit(hdu)``, or replaced."""
    with fits.open(path, memmap=False) as hdus:
        hdus = fits.HDUList([hdu.copy() for hdu in hdus])
    hdus[number] = edit(hdus[number]) or hdus[number]
    hdus.writeto(path, overwrite=True)


def one(paths, **options):
    """Read the only star of these files."""
    (group,), refused = galah.groups(paths)
    assert not refused
    (row,) = galah.read_group(group, **options)
    return row


def test_grid_is_four_even_arms_that_fast_stars_cover():
    assert len(galah.WAVELENGTH) == 14617
    assert (np.diff(galah.WAVELENGTH) > 0).all()
    steps = np.diff(galah.WAVELENGTH)
    assert np.sum(steps > 0.08) == 3
    for (start, end), arm, (first, step) in zip(
        galah.REGIONS, galah.ARMS, OBSERVED, strict=True
    ):
        inside = (galah.WAVELENGTH >= start - 1e-6) & (galah.WAVELENGTH <= end + 1e-6)
        assert inside.sum() == arm.n_pixels
        assert first * (1 + 200 / galah.LIGHT) < start + 0.2
        assert (first + 4095 * step) * (1 - 200 / galah.LIGHT) > end - 0.2


@pytest.mark.parametrize("make", [dr3_hdus, reduction6_hdus])
@pytest.mark.parametrize("rv", [30.0, -120.0])
def test_both_releases_come_to_rest_on_the_grid(tmp_path, make, rv):
    paths = write(tmp_path, make, rv=rv)
    row = one(paths)
    assert row.flux.dtype == row.ivar.dtype == np.float32
    good = row.ivar > 0
    assert good.mean() > 0.999
    # cubic interpolation of lines of 0.15 A: measured 0.0009
    error = abs(row.flux - normalised(galah.WAVELENGTH))[good].max()
    assert error < 0.002
    # a shift by 0.5 km/s would show: 0.3 / 0.15 * 0.6 * 0.01 A = 0.012 of the flux
    sigma = row.ivar[good] ** -0.5
    expected = 0.02 * normalised(galah.WAVELENGTH)[good]
    assert (sigma < 1.02 * expected).all()  # measured: 1.003
    assert (sigma > 0.8**0.5 * 0.87 * expected).all()  # sum c^2 is 0.64 or more
    assert abs(row.facts["rv_shift"] - rv) < 1e-6


@pytest.mark.parametrize("make", [dr3_hdus, reduction6_hdus])
def test_counts_stand_on_the_same_wavelengths(tmp_path, make):
    paths = write(tmp_path, make)
    counts, flux = one(paths, flux="counts"), one(paths)
    good = counts.ivar > 0
    np.testing.assert_array_equal(good, flux.ivar > 0)
    level = counts.flux[good] / flux.flux[good]
    assert (level > 999).all() and (level < 1301).all()
    # the same noise relative to the flux: measured 2e-4
    pulls = [row.flux[good] * np.sqrt(row.ivar[good]) for row in (counts, flux)]
    np.testing.assert_allclose(*pulls, rtol=1e-3)
    groups, _ = galah.groups(paths)
    assert galah.is_normalised(groups)
    assert not galah.is_normalised(groups, flux="counts")


def test_facts_are_complete_and_of_the_headers(tmp_path):
    paths = write(tmp_path / "a") + write(
        tmp_path / "b", reduction6_hdus, "210115000101001"
    )
    spectra = surveys.read("galah", paths)
    assert spectra.table.colnames == list(galah.FACTS)
    assert spectra.medium == "air" and spectra.normalised and not spectra.refused
    table = spectra.table
    assert list(table["id"]) == [KEY, "210115000101001"]
    assert list(table["star_id"]) == ["", "2M05505952+0759226"]
    assert list(table["pipeline"]) == ["5.3", "6.0"]
    assert list(table["visit"]) == [0, 0]
    np.testing.assert_allclose(table["snr"], 50, rtol=1e-5)
    np.testing.assert_allclose(table["wav_rms"], [0.04, 0.02])
    np.testing.assert_allclose(table["mjd"], [56726.4, 59229.5])
    assert table["file"][0] == str(paths[0])


def test_arms_may_have_different_lengths(tmp_path):
    paths = []
    for arm, n in enumerate((4096, 4097, 4104, 4112), start=1):
        paths += write(tmp_path, arms=(arm,), n=n)
    assert (one(paths).ivar > 0).mean() > 0.999


def test_absurd_errors_and_flux_count_as_no_information(tmp_path):
    paths = write(tmp_path)
    clean = one(paths)
    bad = {500: 0.0, 900: -0.5, 1300: np.nan, 1700: np.inf, 2100: 1e-5, 2500: 1e30}

    def edit_error(hdu):
        for pixel, value in bad.items():
            hdu.data[pixel] = value

    def edit_flux(hdu):
        hdu.data[[2900, 3300, 3700]] = np.nan, 0.0, -np.inf
        hdu.data[3500] *= -1  # a real negative flux is a measurement

    change(paths[1], 1, edit_error)
    change(paths[1], 4, edit_flux)
    row = one(paths)
    assert np.isfinite(row.flux).all() and np.isfinite(row.ivar).all()
    first, step = OBSERVED[1]
    observed = first + step * np.array([*bad, 2900, 3300, 3700])
    places = observed / (1 + 30 / galah.LIGHT)
    lost = np.abs(galah.WAVELENGTH[:, None] - places).min(axis=1) < 2.01 * step
    changed = (row.ivar == 0) & (clean.ivar > 0)
    assert not changed[~lost].any()
    assert 9 * 3 <= changed.sum() <= 9 * 4  # each is in three or four stencils
    assert row.flux.min() < -0.1 and row.ivar[row.flux.argmin()] > 0


def test_fast_stars_lack_the_ends_only(tmp_path):
    row = one(write(tmp_path, rv=-900.0))
    lost = row.ivar == 0
    assert lost[:150].all() and not lost[400:3957].any()


def test_groups_are_stars_whatever_the_order(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b", key="131123003001096")
    other = [tmp_path / name for name in ("dr6.0.fits", f"{KEY}5.fits", "1234.fits")]
    groups, refused = galah.groups([*first[::-1], *other, *map(str, second), first[2]])
    assert [group.key for group in groups] == ["131123003001096", KEY]
    paths = [list(map(str, files)) for files in (second, first)]
    assert [list(group.paths) for group in groups] == paths
    assert sorted(r.path for r in refused) == sorted(map(str, other))
    assert all("15 digits" in r.reason for r in refused)
    assert galah.groups([]) == ([], [])


def test_second_files_of_a_star_are_refused(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b", arms=(2, 3))
    spectra = surveys.read("galah", second + first)
    assert len(spectra) == 1 and spectra.table["file"][0] == str(first[0])
    assert [r.path for r in spectra.refused] == list(map(str, second))
    assert all(f"sobject_id {KEY}, arm" in r.reason for r in spectra.refused)
    assert str(first[1]) in spectra.refused[0].reason


def cut_short(path):
    path.write_bytes(path.read_bytes()[:30000])


def plain_text(path):
    path.write_text("<html>404 Not Found</html>")


def without(number):
    def edit(path):
        with fits.open(path, memmap=False) as hdus:
            kept = [hdu.copy() for i, hdu in enumerate(hdus) if i != number]
        fits.HDUList(kept).writeto(path, overwrite=True)

    return edit


def header(number, **cards):
    def edit_hdu(hdu):
        for key, value in cards.items():
            if value is None:
                del hdu.header[key]
            else:
                hdu.header[key] = value

    return lambda path: change(path, number, edit_hdu)


def image(number, values):
    return lambda path: change(
        path, number, lambda hdu: fits.ImageHDU(values, hdu.header)
    )


BROKEN = {
    "cut short": (cut_short, "HDU [12]: (the file is cut short|the header has no END)"),
    "text": (plain_text, "is not a FITS file: it begins with b'<html>"),
    "empty": (lambda path: path.write_bytes(b""), "is not a FITS file"),
    "missing": (lambda path: path.unlink(), "No such file"),
    "HDU 4": (without(4), "has 4 HDUs: DR3 did not normalise it"),
    "two HDUs": (lambda path: [without(4)(path), without(3)(path)], "has 3 HDUs; 5"),
    "no CRVAL1": (header(4, CRVAL1=None), "HDU 4: CRVAL1 is absent; a number"),
    "no CRVAL1 in HDU 0": (header(0, CRVAL1=None), "HDU 0: CRVAL1 is absent"),
    "no step": (header(4, CDELT1=None), "HDU 4: CDELT1 is absent"),
    "text step": (header(4, CDELT1="small"), "HDU 4: CDELT1 is 'small'"),
    "backwards": (header(4, CDELT1=-0.05), "steps of -0.05; positive"),
    "elsewhere": (header(4, CRVAL1=15100.0), "no good pixel between 5652.50 and 5868"),
    "2-d": (image(4, np.ones((2, 4100))), r"HDU 4: an image of shape \(2, 4100\)"),
    "integers": (image(1, np.ones(4100, np.int16)), "HDU 1: .* with BITPIX 16"),
    "lengths": (image(1, np.ones(4099)), "have 4100, 4099 and 4100 pixels"),
    "all bad": (image(1, np.zeros(4100)), "no good pixel between"),
    "all NaN": (image(4, np.full(4100, np.nan)), "no good pixel between"),
    "pipelines": (header(0, PIPE_VER=5.2), "pipelines 5.3, 5.2, 5.3, 5.3"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_and_the_rest_goes_on(tmp_path, name):
    edit, words = BROKEN[name]
    broken, whole = write(tmp_path / "a"), write(tmp_path / "b", key="999999999999999")
    edit(broken[1])
    with pytest.raises((FileFormatError, OSError), match=words) as error:
        one(broken)
    assert broken[1].name in str(error.value) or name == "pipelines"
    spectra = surveys.read("galah", broken + whole)
    assert list(spectra.table["id"]) == ["999999999999999"]
    assert len(spectra.refused) == 1 and "\n" not in spectra.refused[0].reason


def test_missing_arms_are_named(tmp_path):
    paths = write(tmp_path, arms=(1, 3))
    words = f"{KEY}: {KEY}2.fits, {KEY}4.fits missing; all four"
    with pytest.raises(FileFormatError, match=words):
        one(paths)


@pytest.mark.parametrize(
    "cards, words",
    [
        ({"RVCOM_OK": 0}, "RVCOM is 30.0 and RVCOM_OK 0"),
        ({"RVCOM": "None"}, "RVCOM is 'None' and RVCOM_OK 1"),
        ({"RVCOM": None}, "RVCOM is None"),
        ({"RVCOM": 1e9}, "RVCOM is 1000000000.0"),
    ],
)
def test_reduction_6_needs_a_velocity(tmp_path, cards, words):
    paths = write(tmp_path, reduction6_hdus)
    header(0, **cards)(paths[2])
    with pytest.raises(FileFormatError, match=words):
        one(paths)


def test_options_are_checked(tmp_path):
    paths = write(tmp_path)
    with pytest.raises(InputError, match='flux is \'raw\'; "normalised" or "counts"'):
        one(paths, flux="raw")
    with pytest.raises(InputError, match="its options are flux"):
        surveys.read("galah", paths, visits=True)


def test_cuts_and_flags_are_of_the_catalogue():
    table = Table(galah_rows())
    for cuts in (galah.CUTS, *galah.EXTRA_CUTS.values()):
        for column, condition in cuts.items():
            check_condition(condition)
            assert column in galah_catalogue.LABEL_COLUMNS or column in table.colnames
    assert list(galah.FLAGS) == ["flag_sp"]


def galah_rows(n=3):
    """Columns of main_allstar, version 2, as far as they are read."""
    columns = {
        "star_id": ["05505952+0759226", "", "None"],
        "sobject_id": np.array([210115000101001, 140310002101365, 999999999999999]),
        "dr3_source_id": np.array([3335074476514836608, -1, 0]),
        "dr2_source_id": np.array([3335074476514836600, -1, 0]),
        "teff": [5000.0, np.nan, -9999.0],
    }
    numbers = (
        "e_teff logg e_logg fe_h e_fe_h alpha_fe e_alpha_fe vmic vbroad e_vbroad Mg_fe "
        "e_Mg_fe rv_galah e_rv_galah snr_c2_iraf snr_c3_iraf chi2_sp ra_dr2 dec_dr2 "
        "pmra_dr2 pmdec_dr2"
    )
    for i, name in enumerate(numbers.split()):
        columns[name] = np.arange(n) + 10.0 * i
    for name in ("flag_sp", "flag_fe_h", "flag_alpha_fe", "flag_Mg_fe", "flag_repeat"):
        columns[name] = np.arange(n)
    return columns


@pytest.fixture(params=["fits", "csv"])
def catalogue(request, tmp_path):
    path = tmp_path / f"GALAH_DR3_main_allstar_v2.{request.param}"
    Table(galah_rows()).write(path)
    return path


def test_catalogue_by_our_names(catalogue):
    table = galah.read_catalogue(catalogue)
    assert list(table["id"]) == ["210115000101001", KEY, "999999999999999"]
    assert list(table["star_id"]) == ["2M05505952+0759226", "", ""]
    assert table["gaia_source_id"].dtype == np.int64
    assert list(table["gaia_source_id"]) == [3335074476514836608, 0, 0]
    assert table.meta == {"gaia_release": "EDR3", "absent": ["e_vmicro"]}
    np.testing.assert_array_equal(table["teff"], [5000, np.nan, np.nan])
    assert np.isnan(table["e_vmicro"]).all()
    given = galah_rows()
    for ours, theirs in {
        "vmicro": "vmic",
        "mg_fe": "Mg_fe",
        "rv": "rv_galah",
        "snr": "snr_c2_iraf",
        "snr_c3_iraf": "snr_c3_iraf",
        "ra": "ra_dr2",
        "pmdec": "pmdec_dr2",
        "flag_sp": "flag_sp",
        "flag_Mg_fe": "flag_Mg_fe",
    }.items():
        np.testing.assert_array_equal(table[ours], given[theirs])
    units = {"teff": "K", "logg": "dex", "vbroad": "km / s", "ra": "deg", "epoch": "yr"}
    assert {name: str(table[name].unit) for name in units} == units
    assert str(table["pmra"].unit) == "mas / yr" and (table["epoch"] == 2015.5).all()


def test_columns_can_be_named(catalogue):
    table = galah.read_catalogue(
        catalogue, {"vmicro": "vbroad", "gaia_source_id": "dr2_source_id"}
    )
    np.testing.assert_array_equal(table["vmicro"], table["vbroad"])
    assert table["gaia_source_id"][0] == 3335074476514836600
    assert table.meta["gaia_release"] == "DR2"
    with pytest.raises(InputError, match=r"no column Teff_x.*alike are .*teff"):
        galah.read_catalogue(catalogue, {"teff": "Teff_x"})
    with pytest.raises(
        InputError, match="columns names 'temperature'; expected some of"
    ):
        galah.read_catalogue(catalogue, {"temperature": "teff"})
    with pytest.raises(InputError, match=r"no column teff\[1\] for logg"):
        galah.read_catalogue(catalogue, {"logg": "teff[1]"})


@pytest.mark.parametrize("kind", ["fits", "csv"])
def test_needed_columns_are_missed_by_name(tmp_path, kind):
    columns = galah_rows()
    columns["sobjectid"] = columns.pop("sobject_id")
    path = tmp_path / f"table.{kind}"
    Table(columns).write(path)
    where = f"{path.name}(, HDU 1)?: no column sobject_id for id; "
    with pytest.raises(InputError, match=where + "alike are sobjectid"):
        galah.read_catalogue(path)


def test_columns_of_the_wrong_kind_are_refused(tmp_path):
    for name, values, words in (
        (
            "teff",
            ["hot", "5000", ""],
            "column teff holds text .*expected one number per row",
        ),
        (
            "flag_sp",
            ["0", "x", "1"],
            "column flag_sp holds text .*expected whole numbers",
        ),
        ("sobject_id", [1e14, 2e14, 3e14], "holds float64 .*floats cannot hold all"),
        (
            "dr3_source_id",
            [1e14, np.nan, 3e14],
            "holds float64 .*floats cannot hold all",
        ),
        ("logg", np.ones((3, 2)), r"shape \(3, 2\).*name an element"),
    ):
        path = tmp_path / f"{name}.fits"
        Table(galah_rows() | {name: values}).write(path)
        with pytest.raises(InputError, match=words):
            galah.read_catalogue(path)


def test_files_that_are_no_catalogues_are_refused(tmp_path):
    for name, content in (
        ("text.fits", b"nothing"),
        ("text.csv", b"\xff\xfe\x00"),
        ("empty.csv", b""),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=f"{name}.*table can be read"):
            galah.read_catalogue(path)
    fits.PrimaryHDU(np.zeros(3)).writeto(tmp_path / "image.fits")
    with pytest.raises(FileFormatError, match=r"image.fits, HDU 1: no table"):
        galah.read_catalogue(tmp_path / "image.fits")
    with pytest.raises(FileNotFoundError, match=r"none.fits does not exist"):
        galah.read_catalogue(tmp_path / "none.fits")


def test_missing_values_in_csv(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text(
        "sobject_id,teff,logg,fe_h,flag_sp,source_id,snr_2\n"
        "140310002101365,5000,,None,,123,7\n"
        "140310002101366,99999,4.0,-0.1,3,,8\n"
    )
    table = galah.read_catalogue(path)
    np.testing.assert_array_equal(table["teff"], [5000, np.nan])
    np.testing.assert_array_equal(table["logg"], [np.nan, 4])
    np.testing.assert_array_equal(table["fe_h"], [np.nan, -0.1])
    np.testing.assert_array_equal(table["flag_sp"], [-1, 3])
    np.testing.assert_array_equal(table["flag_fe_h"], [-1, -1])
    np.testing.assert_array_equal(table["gaia_source_id"], [123, 0])
    np.testing.assert_array_equal(table["snr"], [7, 8])
    assert table.meta["gaia_release"] == "DR2" and "ra" in table.meta["absent"]


@pytest.fixture(scope="module")
def real(data_dir):
    """Every real spectrum, of both releases."""
    paths = [*data_dir.glob("galah_dr3/*[1-4].fits"), *data_dir.glob("galah_dr6/2*")]
    return surveys.read("galah", paths)


def test_every_real_file_is_read_or_refused(real, data_dir):
    assert Counter(real.table["pipeline"]) == {"5.3": 22, "6.0": 6}
    assert [reason.split(": ")[1] for _, reason, _ in real.refused] == [
        f"{key}4.fits missing; all four arms are needed"
        for key in ("181222001801157", "181226001601033")
    ]
    assert np.isfinite(real.flux).all() and np.isfinite(real.ivar).all()
    # all pixels but for the star of S/N 6, a tenth of which has absurd errors
    assert (np.mean(real.ivar > 0, axis=1) > 0.91).all()
    assert np.sum((real.ivar > 0).all(axis=1)) == 24
    counts = surveys.read(
        "galah", data_dir.glob("galah_dr3/*[1-4].fits"), flux="counts"
    )
    assert len(counts) == 22 and not counts.normalised


def test_real_signal_to_noise_is_the_survey_s(real, data_dir):
    rows = real.table[real.table["pipeline"] == "6.0"]
    table = galah.read_catalogue(data_dir / "galah_dr6" / "dr6.0.fits")
    assert list(rows["id"]) == list(table["id"])
    assert list(rows["star_id"]) == list(table["star_id"])
    np.testing.assert_allclose(rows["snr"], table["snr"], rtol=1e-5)
    np.testing.assert_allclose(rows["rv_shift"], table["rv"], atol=1e-4)


def test_real_h_alpha_is_at_rest(real):
    near = np.abs(real.wavelength - 6562.80) < 3
    depth = np.clip(0.8 - real.flux[:, near], 0, None)
    centre = depth @ real.wavelength[near] / np.maximum(depth.sum(axis=1), 1e-9)
    deep = depth.sum(axis=1) > 5
    # air, Angstrom: 23 within 0.12, three hot or strange stars within 0.5; 0.2 A are
    # 10 km/s
    assert deep.sum() >= 24
    off = np.abs(centre[deep] - 6562.80)
    assert np.median(off) < 0.06 and np.sum(off < 0.12) >= 21 and off.max() < 0.6


def test_real_catalogues(data_dir):
    table = galah.read_catalogue(
        data_dir / "galah_dr3" / "galah_dr3_allstar_m67_lite.csv"
    )
    assert len(table) == 813 and np.sum(table["flag_sp"] == 0) == 540
    assert table["star_id"][0] == "2M08520715+1149254"
    assert table["gaia_source_id"][0] == 604906737317927296
    assert np.isfinite(table["teff"]).sum() == 802
    assert "alpha_fe" in table.meta["absent"]
    path = data_dir / "galah_dr3" / "processing_galah_dr3_output_structure.fits"
    with pytest.raises(InputError, match="column e_teff holds text"):
        galah.read_catalogue(path)
