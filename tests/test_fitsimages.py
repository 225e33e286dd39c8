"""FITS images from bytes: against astropy, and files that are damaged."""

import numpy as np
import pytest
from astropy.io import fits

from fastcannon.errors import FileFormatError
from fastcannon.fitsimages import read_hdus


@pytest.fixture
def path(tmp_path):
    """A file with images of both widths, a table and a header of several blocks."""
    primary = fits.PrimaryHDU(np.arange(5, dtype=">f4"))
    for i in range(100):
        primary.header[f"KEY{i}"] = (i / 7, "a comment / with a slash")
    primary.header["COMMENT"] = "the END of it"
    primary.header["EMPTY"] = None
    primary.header["QUOTED"] = ("it's / fine  ", "said KEY3")
    primary.header["LOGIC"] = True
    primary.header["WHOLE"] = -12345678901
    primary.header["FIVE"] = 0.0
    table = fits.BinTableHDU.from_columns(
        [fits.Column("a", "PD()", array=np.array([[1.0, 2.0], [3.0]], object))]
    )
    double = fits.ImageHDU(np.linspace(0, 1, 733), name="double")
    plane = fits.ImageHDU(np.zeros((3, 2), np.float32))
    short = fits.ImageHDU(np.arange(4, dtype=np.int16))
    path = tmp_path / "file.fits"
    fits.HDUList([primary, table, double, plane, short]).writeto(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"FIVE    =                  0.0", FIVE))
    return path


FIVE = b"FIVE    =                5.0D0"


def test_images_and_keywords_are_those_of_astropy(path):
    found = read_hdus(path)
    with fits.open(path) as expected:
        assert len(found) == len(expected) == 5
        for i in (0, 2):
            np.testing.assert_array_equal(found[i].spectrum(), expected[i].data)
        for key in ("KEY0", "KEY3", "KEY99", "QUOTED", "LOGIC", "WHOLE", "NAXIS1"):
            value = found[0].get(key)
            assert value == expected[0].header[key], key
            assert type(value) is type(expected[0].header[key])
    assert found[0].get("FIVE") == 5.0
    assert found[0].get("EMPTY") is None and found[0].get("EMPTY", 3) == 3
    assert found[0].get("NONE") is None and found[0].get("slash", 2) == 2
    assert found[2].get("EXTNAME") == "DOUBLE"
    assert found[0].number("KEY7") == 1


def test_scaled_images(tmp_path):
    hdu = fits.PrimaryHDU(np.arange(5, dtype=np.float32))
    path = tmp_path / "scaled.fits"
    hdu.writeto(path)
    with fits.open(path, "update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 2.0, 1.0
    np.testing.assert_array_equal(read_hdus(path)[0].spectrum(), [1, 3, 5, 7, 9])


@pytest.mark.parametrize("scale, zero", [(None, None), (1, 32768), (2, 1.5), (0.5, 0)])
@pytest.mark.parametrize("kind", ["i2", "i4", "i8", "f4", "f8"])
def test_rows_are_those_of_astropy(tmp_path, kind, scale, zero):
    values = np.random.default_rng(1).integers(-99, 99, (4, 7)).astype(kind)
    hdus = fits.HDUList([fits.PrimaryHDU(values[0]), fits.ImageHDU(values)])
    path = tmp_path / "rows.fits"
    hdus.writeto(path)
    with fits.open(path, "update", do_not_scale_image_data=True) as hdus:
        for hdu in hdus:
            if scale is not None:
                hdu.header["BSCALE"], hdu.header["BZERO"] = scale, zero
            if kind[0] == "i":
                hdu.header["BLANK"] = int(values[2, 3])
    one, image = read_hdus(path)
    assert (one.shape, image.shape) == ((7,), (4, 7))
    with fits.open(path) as hdus:
        # integers as they are have no NaN, and BLANK is no number of theirs
        expected = hdus[1].data if scale else values
        unsigned = (scale, zero, kind) == (1, 32768, "i2")
        if unsigned:
            expected = (values.astype("i4") + 32768).astype("u2")
        for chosen in ([0], [0, 2, 3], range(1, 4), []):
            rows = image.rows(chosen)
            np.testing.assert_array_equal(rows, expected[chosen])
            assert rows.dtype.isnative and rows.flags.writeable
    assert one.rows([0]).shape == (1, 7)
    kinds = {None: kind, 1: "u2" if unsigned else "f8"}
    assert rows.dtype == (kind if kind[0] == "f" else kinds.get(scale, "f8"))


@pytest.mark.parametrize("bits", [32, 64])
def test_unsigned_integers(tmp_path, bits):
    values = np.array([[0, 1, 2 ** (bits - 1)], [5, 2**bits - 1, 7]], f"u{bits // 8}")
    fits.PrimaryHDU(values).writeto(tmp_path / "unsigned.fits")
    rows = read_hdus(tmp_path / "unsigned.fits")[0].rows([0, 1])
    assert rows.dtype == values.dtype
    np.testing.assert_array_equal(rows, values)


def test_large_files_are_read_where_they_are_used(tmp_path):
    path = tmp_path / "large.fits"
    values = np.arange(400_000, dtype=np.float32).reshape(4, -1)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(values), fits.ImageHDU(values)]
    fits.HDUList(hdus).writeto(path)
    np.testing.assert_array_equal(read_hdus(path)[2].rows([1, 3]), values[[1, 3]])
    path.write_bytes(path.read_bytes()[:-10_000])
    first = read_hdus(path, 2)  # the last image is cut short, but not asked for
    assert len(first) == 2
    path.unlink()
    np.testing.assert_array_equal(first[1].rows([2]), values[[2]])


def test_images_that_have_no_rows_are_refused(path, tmp_path):
    hdus = read_hdus(path)
    assert hdus[1].shape == ()
    with pytest.raises(FileFormatError, match=r"HDU 1: an image of shape \(\) "):
        hdus[1].rows([0])
    for values in (np.ones((2, 2, 2)), np.ones(2, np.uint8)):
        fits.PrimaryHDU(values).writeto(tmp_path / "no.fits", overwrite=True)
        with pytest.raises(FileFormatError, match="1 or 2 dimensions and BITPIX 16, 3"):
            read_hdus(tmp_path / "no.fits")[0].rows([0])


def test_images_that_are_no_spectra_are_refused(path):
    hdus = read_hdus(path)
    for i, words in ((3, r"\(3, 2\) with BITPIX -32"), (4, r"\(4,\) with BITPIX 16")):
        with pytest.raises(FileFormatError, match=rf"HDU {i}: an image of.*{words}"):
            hdus[i].spectrum()
    for key, words in (("NONE", "absent"), ("QUOTED", "it's / fine"), ("LOGIC", "Tru")):
        with pytest.raises(FileFormatError, match=rf"HDU 0: {key} is .*{words}"):
            hdus[0].number(key)


def test_damaged_files_are_refused_at_any_length(path, tmp_path):
    content = path.read_bytes()
    cut = tmp_path / "cut.fits"
    with fits.open(path) as hdus:
        places = [hdu.fileinfo() for hdu in hdus]
    wholes = {place["datLoc"] + place["datSpan"] for place in places}
    for length in range(0, len(content), 1440):
        cut.write_bytes(content[:length])
        # the end of a HDU is a whole file of fewer HDUs, with or without the filling
        if any(0 <= whole - length < 1440 for whole in wholes):
            continue
        if length in wholes:
            assert len(read_hdus(cut)) < 5
            continue
        try:
            found = len(read_hdus(cut))
        except FileFormatError as error:
            assert "cut.fits" in str(error)
        else:
            # only the filling of the last block is missing
            assert any(0 <= whole - length < 2880 for whole in wholes), found


@pytest.mark.parametrize(
    "old, new, words",
    [
        (b"BITPIX  =                  -32", b"BITPIX  =                  -33", "-33"),
        (b"NAXIS   =                    1", b"NAXIS   =                   -1", "-1"),
        (b"NAXIS1  =                    5", b"NAXIS1  =                  5.5", "5.5"),
        (b"NAXIS1  =", b"NOXIS1  =", "NAXIS1 is None"),
        (b"SIMPLE  =", b"SIMPEL  =", "not a FITS file"),
    ],
)
def test_broken_headers_are_refused(path, old, new, words):
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(FileFormatError, match=words):
        read_hdus(path)


def test_a_large_file_that_becomes_shorter_is_refused(tmp_path):
    path = tmp_path / "large.fits"
    fits.PrimaryHDU(np.zeros((100, 1000), np.float32)).writeto(path)
    hdu = read_hdus(path)[0]
    np.testing.assert_array_equal(hdu.rows([99]), np.zeros((1, 1000)))
    with open(path, "r+b") as file:
        file.truncate(100_000)
    with pytest.raises(FileFormatError, match="HDU 0: the file became shorter"):
        hdu.rows([99])
