"""The spectra file and the FITS helpers: round trips, bytes, damage, memory."""

import contextlib
import time
import tracemalloc

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table

from fastcannon import fitsfiles, fitsheaders
from fastcannon.errors import FileFormatError, InputError
from fastcannon.spectra import SpectraFile
from fastcannon.spectrawriter import SpectraWriter, write_spectra

N, P = 7, 31


def example(n=N, p=P, seed=0):
    """Return flux, ivar, wavelength and stars of n stars with p pixels."""
    rng = np.random.default_rng(seed)
    flux = rng.normal(1, 0.1, (n, p)).astype(np.float32)
    ivar = rng.uniform(0, 1e4, (n, p)).astype(np.float32)
    stars = Table({"id": [f"star {i}" for i in range(n)]})
    stars["teff"] = rng.uniform(4000, 6000, n) * u.K
    stars["logg"] = MaskedColumn(rng.uniform(1, 5, n), mask=np.arange(n) == 2)
    stars["logg"].unit = "dex"
    stars["logg"].description = "logarithm of the surface gravity in cm/s2"
    stars["visits"] = MaskedColumn(np.arange(n), mask=np.arange(n) == 3)
    return flux, ivar, np.linspace(4200, 4500, p), stars


@pytest.fixture
def path(tmp_path):
    """Path of a good spectra file."""
    write_spectra(tmp_path / "spectra.fits", *example(), normalised=True)
    return tmp_path / "spectra.fits"


def change_bytes(path, position, new):
    """Overwrite bytes of a file."""
    with open(path, "r+b") as handle:
        handle.seek(position)
        handle.write(new)


def span(path, name):
    """Return where an HDU is in a file."""
    return next(s for s in fitsheaders.scan(path) if s.name == name)


def test_round_trip(path):
    flux, ivar, wavelength, stars = example()
    with SpectraFile(path) as spectra:
        assert (spectra.n_stars, spectra.n_pixels) == (N, P)
        assert spectra.normalised is True
        spectra.require_normalised()
        np.testing.assert_array_equal(spectra.wavelength, wavelength)
        for got, given in zip(spectra.read_rows(2, 5), (flux, ivar), strict=True):
            np.testing.assert_array_equal(got, given[2:5])
            assert got.dtype == np.float32 and got.dtype.isnative
            assert got.flags.c_contiguous
        assert list(spectra.stars["id"]) == list(stars["id"])
        assert spectra.stars["teff"].unit == u.K
        assert spectra.stars["logg"].unit == u.dex
        assert spectra.stars["logg"].description == stars["logg"].description
        spectra.verify()


def test_blocks_cover_every_row_once(path):
    flux, ivar, *_ = example()
    with SpectraFile(path) as spectra:
        blocks = list(spectra.blocks(3))
        assert [start for start, *_ in blocks] == [0, 3, 6]
        np.testing.assert_array_equal(np.vstack([b[1] for b in blocks]), flux)
        np.testing.assert_array_equal(np.vstack([b[2] for b in blocks]), ivar)
        assert spectra.read_rows(4, 4)[0].shape == (0, P)
        for rows in ((-1, 2), (3, 2), (0, N + 1)):
            with pytest.raises(InputError, match="rows"):
                spectra.read_rows(*rows)


def test_labels(path):
    *_, stars = example()
    with SpectraFile(path) as spectra:
        labels = spectra.labels(["teff", "logg", "visits"])
        assert labels.dtype == np.float64
        np.testing.assert_array_equal(labels[:, 0], stars["teff"])
        np.testing.assert_array_equal(np.isnan(labels[:, 1]), stars["logg"].mask)
        np.testing.assert_array_equal(np.isnan(labels[:, 2]), stars["visits"].mask)
        with pytest.raises(
            InputError, match=r"STARS: .* no column 'mg_fe'.*logg, visits"
        ):
            spectra.labels(["teff", "mg_fe"])
        with pytest.raises(
            InputError, match=r"column 'id' .* one real number per star"
        ):
            spectra.labels("id")


def test_the_file_is_valid_fits_with_units(path):
    # checksum=True makes astropy check DATASUM and CHECKSUM by its own code; a
    # wrong one is a warning, and warnings are errors in this suite.
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        assert [h.name for h in hdus[1:]] == ["FLUX", "IVAR", "WAVELENGTH", "STARS"]
        for hdu in hdus:
            assert {"CHECKSUM", "DATASUM"} <= set(hdu.header)
            assert hdu._checksum_valid and hdu._datasum_valid
        assert hdus["FLUX"].header["BITPIX"] == -32
        assert "BUNIT" in hdus["FLUX"].header and "BUNIT" in hdus["IVAR"].header
        assert hdus["WAVELENGTH"].header["BUNIT"] == "Angstrom"
        assert hdus["STARS"].header["TUNIT2"] == "K"
        assert hdus["STARS"].header["TUNIT3"] == "dex"
        np.testing.assert_array_equal(hdus["IVAR"].data, example()[1])


def test_equal_content_is_equal_bytes(path, tmp_path):
    time.sleep(1.1)  # a timestamp would have changed
    later = tmp_path / "later.fits"
    flux, ivar, wavelength, stars = example()
    with SpectraWriter(later, wavelength, True) as writer:
        for rows in (slice(0, 1), slice(1, 6), slice(6, 7)):
            writer.append(flux[rows], ivar[rows], stars[rows])
    assert later.read_bytes() == path.read_bytes()
    assert b"DATE" not in path.read_bytes()


def test_odd_arrays_are_written_by_value(tmp_path):
    path = tmp_path / "odd.fits"
    flux = np.ma.masked_array(
        np.arange(12).reshape(3, 4), mask=np.eye(3, 4, dtype=bool)
    )
    ivar = np.asfortranarray(np.full((3, 4), 1e39, dtype=">f8"))
    ivar[1] = 2
    ivar.flags.writeable = False
    stars = np.array(
        [(7, 1.5), (8, 2.5), (9, np.nan)], dtype=[("id", "i8"), ("x", "f4")]
    )
    write_spectra(path, flux, ivar, [1, 2, 3, 4], stars, normalised=np.False_)
    with SpectraFile(path) as spectra:
        got_flux, got_ivar = spectra.read_rows(0, 3)
        np.testing.assert_array_equal(np.isnan(got_flux), np.eye(3, 4))
        np.testing.assert_array_equal(got_flux[flux.mask == 0], flux.compressed())
        assert np.isinf(got_ivar[0]).all() and (got_ivar[1] == 2).all()
        assert list(spectra.stars["id"]) == ["7", "8", "9"]
        np.testing.assert_array_equal(spectra.labels(["x"])[:, 0], stars["x"])


def test_flux_that_is_not_normalised_is_refused_with_a_recipe(tmp_path):
    write_spectra(tmp_path / "raw.fits", *example(), normalised=False)
    with SpectraFile(tmp_path / "raw.fits") as spectra:
        assert spectra.normalised is False
        assert spectra.read_rows(0, 1)[0].shape == (1, P)
        with pytest.raises(InputError, match=r"raw\.fits.*continuum\.smooth"):
            spectra.require_normalised()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(ivar=np.ones((N, P - 1))), "ivar has shape"),
        (dict(flux=np.ones((N + 1, P))), "shape"),
        (dict(flux=np.ones(P)), "flux has shape"),
        (dict(flux=np.full((N, P), "1")), "flux has type <U1; expected real"),
        (dict(ivar=np.ones((N, P), complex)), "ivar has type complex128"),
        (dict(wavelength=np.ones(P)), "increase"),
        (dict(wavelength=np.full(P, np.nan)), "finite"),
        (dict(wavelength=np.ones((1, P))), "wavelength has shape"),
        (dict(wavelength=np.ones(0)), "wavelength has shape"),
        (dict(stars={"id": ["a"]}), "stars has 1 rows"),
        (dict(stars={"teff": np.ones(N)}), "no column id.*teff"),
        (dict(stars={"id": np.ones(N)}), "column id must hold"),
        (dict(stars={"id": ["a", "b"], "x": [1]}), "cannot be made a table"),
        (dict(stars={"id": ["\xe9"] * N}), "ASCII"),
        (dict(stars={"id": ["a"] * N, "x": [{}] * N}), "'x' holds Python objects"),
        (
            dict(stars={"id": ["a"] * N, "x": np.array([1] * N, object)}),
            "'x' holds Python objects",
        ),
        (dict(normalised="no"), "True or False"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_left(tmp_path, change, message):
    flux, ivar, wavelength, stars = example()
    arguments = dict(
        flux=flux, ivar=ivar, wavelength=wavelength, stars=stars, normalised=True
    )
    with pytest.raises(InputError, match=message):
        write_spectra(tmp_path / "bad.fits", **(arguments | change))
    assert list(tmp_path.iterdir()) == []


def test_no_stars_is_refused(tmp_path):
    flux, ivar, wavelength, stars = example()
    with pytest.raises(InputError, match="no star"):
        write_spectra(
            tmp_path / "x.fits", flux[:0], ivar[:0], wavelength, stars[:0], True
        )
    assert list(tmp_path.iterdir()) == []


def test_blocks_of_stars_must_have_the_same_columns(tmp_path):
    flux, ivar, wavelength, stars = example()
    other = stars.copy()
    other["teff"].unit = "mK"
    with (
        pytest.raises(InputError, match=r"teff \[mK\].*teff \[K\]"),
        SpectraWriter(tmp_path / "x.fits", wavelength, True) as writer,
    ):
        writer.append(flux, ivar, stars)
        writer.append(flux, ivar, other)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(path):
    before = path.read_bytes()
    flux, ivar, wavelength, stars = example(seed=1)
    with (
        pytest.raises(ZeroDivisionError),
        SpectraWriter(path, wavelength, True) as writer,
    ):
        writer.append(flux, ivar, stars)
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_where_files_are_written(path, tmp_path):
    with pytest.raises(InputError, match="exists"):
        write_spectra(path, *example(), normalised=True, overwrite=False)
    with pytest.raises(InputError, match="does not exist"):
        write_spectra(tmp_path / "no" / "x.fits", *example(), normalised=True)
    with pytest.raises(InputError, match="is a folder"):
        write_spectra(tmp_path, *example(), normalised=True)
    with pytest.raises(InputError, match="uncompressed"):
        write_spectra(tmp_path / "x.fits.gz", *example(), normalised=True)
    link = tmp_path / "link.fits"
    link.symlink_to(path)
    write_spectra(link, *example(seed=5), normalised=True)
    assert link.is_symlink()
    with SpectraFile(path) as spectra:
        np.testing.assert_array_equal(spectra.read_rows(0, N)[0], example(seed=5)[0])


def test_arrays_of_the_caller_are_not_changed(tmp_path):
    arguments = example()
    copies = [a.copy() for a in arguments]
    for array in arguments[:3]:
        array.flags.writeable = False
    write_spectra(tmp_path / "x.fits", *arguments, normalised=True)
    for array, copy in zip(arguments[:3], copies[:3], strict=True):
        np.testing.assert_array_equal(array, copy)
    assert arguments[3].pformat() == copies[3].pformat()
    assert arguments[3]["logg"].description == copies[3]["logg"].description


def test_every_cut_is_noticed_at_open(path):
    whole = path.read_bytes()
    names = [s.name for s in fitsheaders.scan(path)]
    assert names == ["primary", "FLUX", "IVAR", "WAVELENGTH", "STARS"]
    for size in range(len(whole) - 1, -1, -480):
        path.write_bytes(whole[:size])
        with pytest.raises(FileFormatError, match=r"spectra\.fits"):
            SpectraFile(path)


def test_a_cut_names_hdu_and_remedy(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: span(path, "IVAR").data + 100])
    with pytest.raises(FileFormatError, match=r"HDU IVAR.*cut short.*write it again"):
        SpectraFile(path)


def test_added_bytes_are_noticed(path):
    with open(path, "ab") as handle:
        handle.write(b"\0" * 2880)
    with pytest.raises(FileFormatError, match="HDU number 5"):
        SpectraFile(path)


def test_a_file_cut_after_opening(path):
    with SpectraFile(path) as spectra:
        path.write_bytes(path.read_bytes()[: span(path, "FLUX").data])
        with pytest.raises(FileFormatError, match=r"HDU (FLUX|IVAR)"):
            spectra.read_rows(0, N)
        with pytest.raises(FileFormatError, match=r"HDU STARS: the checksum"):
            _ = spectra.stars


def test_verify_finds_one_changed_bit_anywhere(path):
    rng = np.random.default_rng(3)
    whole = path.read_bytes()
    for position in rng.integers(0, len(whole), 200):
        changed = bytes([whole[position] ^ (1 << rng.integers(8))])
        change_bytes(path, position, changed)
        with pytest.raises(FileFormatError, match=r"spectra\.fits"):
            fitsheaders.verify_checksums(path)
        with contextlib.suppress(FileFormatError):  # and nothing else is raised
            SpectraFile(path).close()
        change_bytes(path, position, whole[position : position + 1])
    fitsheaders.verify_checksums(path)


def test_verify_names_the_damaged_part(path):
    place = span(path, "IVAR")
    with SpectraFile(path) as spectra:
        change_bytes(path, place.data + 5, b"x")
        with pytest.raises(FileFormatError, match="HDU IVAR: the checksum of the data"):
            spectra.verify()
    write_spectra(path, *example(), normalised=True)
    header = path.read_bytes()[place.start : place.data]
    change_bytes(path, place.start + header.index(b"flux**-2"), b"F")
    with pytest.raises(FileFormatError, match="HDU IVAR: the checksum of the header"):
        fitsheaders.verify_checksums(path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda h: h[0].header.set("FCVERS", 2), "version 2.*reads version 1"),
        (lambda h: h[0].header.set("FCTYPE", "MODEL"), "kind MODEL.*SPECTRA is needed"),
        (lambda h: h[0].header.remove("FCTYPE"), "not a fastcannon file"),
        (lambda h: h[0].header.remove("NORMED"), "NORMED must be T or F"),
        (lambda h: h[0].header.set("NORMED", "yes"), "NORMED must be T or F"),
        (lambda h: h[0].header.set("NORMED", 1), "NORMED must be T or F"),
        (lambda h: h.pop("STARS"), "announces 5 HDUs, it has 4"),
        (lambda h: h["IVAR"].header.set("EXTNAME", "ERROR"), "FLUX, ERROR.*expected"),
        (lambda h: setattr(h["IVAR"], "data", h[1].data[:-1]), "HDU IVAR: NAXIS2 is 6"),
        (
            lambda h: setattr(h[1], "data", h[1].data.astype("f8")),
            "FLUX: BITPIX is -64",
        ),
        (lambda h: setattr(h[3], "data", h[3].data[1:]), "WAVELENGTH: NAXIS1 is 30"),
        (lambda h: setattr(h[4], "data", h[4].data[1:]), "STARS: NAXIS2 is 6"),
    ],
)
def test_files_that_are_not_quite_ours(path, change, message):
    with fits.open(path, memmap=False) as hdus:
        change(hdus)
        hdus.writeto(path, overwrite=True)
    with pytest.raises(FileFormatError, match=message):
        SpectraFile(path)


def test_a_name_that_cfitsio_interprets_is_read(path):
    path = path.rename(path.with_name("spectra[1].fits"))
    with SpectraFile(path) as spectra:
        assert spectra.ids(1, 3).tolist() == spectra.stars["id"][1:3].tolist()
        assert len(spectra.read_rows(1, 3)[0]) == 2


def test_facts_and_refused_inputs_are_kept(tmp_path):
    path = tmp_path / "part.fits"
    wavelength = np.linspace(5000, 5010, 5)
    facts = {"SURVEY": ("apogee", "survey"), "PART": 3}
    with SpectraWriter(path, wavelength, False, facts=facts) as writer:
        writer.append(np.ones((2, 5)), np.ones((2, 5)), {"id": ["a", "b"]})
        writer.refuse([("x/y.fits", "HDU 3 is missing")])
    with SpectraFile(path) as spectra:
        spectra.verify()
        assert spectra.facts["SURVEY"] == "apogee" and spectra.facts["PART"] == 3
        assert list(spectra.refused[0]) == ["x/y.fits", "HDU 3 is missing"]
        assert spectra.read_rows(0, 2)[0].dtype == np.float32


def test_a_file_may_hold_refusals_only(tmp_path):
    path = tmp_path / "part.fits"
    with SpectraWriter(path, np.linspace(5000, 5010, 5), False) as writer:
        empty = Table({"id": np.array([], "U9"), "snr": np.array([], "f4")})
        writer.append(np.empty((0, 5)), np.empty((0, 5)), empty)
        writer.refuse([("x.fits", "no")])
    with SpectraFile(path) as spectra:
        spectra.verify()
        assert spectra.n_stars == 0 and len(spectra.stars) == 0
        assert spectra.stars.colnames == ["id", "snr"]
        assert list(spectra.blocks(8)) == []
        assert len(spectra.refused) == 1


def test_an_unreadable_header_card_names_its_hdu(path):
    header = path.read_bytes()[:2880]
    change_bytes(path, header.index(b"NORMED  =") + 10, b"'x y / z")
    with pytest.raises(FileFormatError, match=r"HDU primary: .*cannot be read"):
        SpectraFile(path)


def test_a_negative_size_is_refused(path):
    keyword = path.read_bytes().index(b"NAXIS2  =", span(path, "IVAR").start)
    change_bytes(path, keyword + 10, b"                -999")
    with pytest.raises(FileFormatError, match=r"HDU IVAR: .*no whole numbers from 0"):
        SpectraFile(path)


def test_a_damaged_table_of_stars(path):
    header = path.read_bytes().index(b"TFORM2  = 'D")
    change_bytes(path, header + 11, b"X")
    with pytest.raises(FileFormatError, match=r"HDU STARS: .*column 2 has"):
        SpectraFile(path)


def test_files_that_are_not_ours(path):
    with pytest.raises(FileNotFoundError):
        SpectraFile(path.with_name("absent.fits"))
    fits.PrimaryHDU(np.ones(5)).writeto(path, overwrite=True)
    with pytest.raises(FileFormatError, match="not a fastcannon file"):
        SpectraFile(path)
    for content in (b"", b"id,teff\n1,5000\n", b"SIMPLE  = nonsense", b"SIMPLE" * 1000):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"spectra\.fits"):
            SpectraFile(path)


def test_a_file_without_checksums_does_not_verify(path):
    with fits.open(path, memmap=False) as hdus:
        hdus[2].header.remove("CHECKSUM")
        hdus.writeto(path, overwrite=True)
    with pytest.raises(
        FileFormatError, match="HDU IVAR: CHECKSUM or DATASUM is missing"
    ):
        fitsheaders.verify_checksums(path)


def test_memory_does_not_grow_with_the_number_of_stars(tmp_path):
    path, n, p, size = tmp_path / "long.fits", 6000, 500, 100
    flux, ivar, wavelength, stars = example(size, p)
    image = n * p * 4
    tracemalloc.start()
    with SpectraWriter(path, wavelength, True) as writer:
        for _ in range(n // size):
            writer.append(flux, ivar, stars[["id", "teff"]])
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    with SpectraFile(path) as spectra:
        opened = tracemalloc.get_traced_memory()[1]
        total = sum(block.sum() for _, block, _ in spectra.blocks(size))
    read = tracemalloc.get_traced_memory()[1]
    fitsheaders.verify_checksums(path)
    verified = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == pytest.approx(n // size * flux.sum(), rel=1e-4)
    # Two blocks of flux and ivar are 0.8 MB; either image is 12 MB.
    assert read < 2e6
    assert opened < 2e6
    assert max(written, verified) < 6e6 < image


def test_write_table_round_trip(tmp_path):
    table = QTable({"id": ["a", "b"], "teff": [5000.0, np.nan] * u.K})
    table["teff"].info.description = "effective temperature"
    table["logg"] = np.array([4.5, 2.5], dtype=np.float32)
    table.meta["DATE"] = "today"
    path = tmp_path / "labels.fits"
    fitsfiles.write_table(path, table, "LABELS", facts={"MODEL": ("m", "model file")})
    assert fitsheaders.read_kind(path) == ("LABELS", fitsfiles.TABLE_VERSION)
    with fitsfiles.open_verified(path, "LABELS", fitsfiles.TABLE_VERSION) as hdus:
        primary, header = hdus[0].header, hdus["LABELS"].header
        assert (primary["MODEL"], primary.comments["MODEL"]) == ("m", "model file")
        assert header["TCOMM2"] == "effective temperature" and "DATE" not in header
        back = fitsfiles.hdu_to_table(hdus["LABELS"])
    assert back.colnames == table.colnames
    assert back["teff"].unit == u.K
    assert back["teff"].description == "effective temperature"
    np.testing.assert_array_equal(back["teff"], table["teff"].value)
    assert back["logg"].dtype.kind == "f" and back["logg"].dtype.itemsize == 4
    first = path.read_bytes()
    fitsfiles.write_table(path, table, "LABELS", facts={"MODEL": ("m", "model file")})
    assert path.read_bytes() == first


def test_open_verified_refuses_other_kinds_and_damage(path):
    with pytest.raises(FileFormatError, match="of kind SPECTRA; one of kind LABELS"):
        fitsfiles.open_verified(path, "LABELS", 1)
    change_bytes(path, span(path, "STARS").data, b"?")
    with pytest.raises(FileFormatError, match="HDU STARS"):
        fitsfiles.open_verified(path, "SPECTRA", 1)


def test_checksums_of_many_contents_agree_with_astropy(tmp_path):
    # The encoding has branches for characters that would be punctuation; 200
    # random contents meet all of them in every one of the four bytes.
    rng = np.random.default_rng(1)
    for number in range(200):
        image = rng.integers(0, 256, 4).astype(np.uint8)
        path = tmp_path / "x.fits"
        fitsfiles.write_hdus(path, [fits.PrimaryHDU(image)], "TEST", number)
        with fits.open(path, checksum=True) as hdus:
            assert hdus[0]._checksum_valid and hdus[0]._datasum_valid
            assert str(hdus[0].header["CHECKSUM"]).isalnum()
