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
