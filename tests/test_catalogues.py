"""What the catalogues of all surveys share: blanks, masks and elements of columns."""

import gzip

import fitsio
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from fastcannon import surveys
from fastcannon.errors import FileFormatError, InputError
from fastcannon.surveys import galah
from fastcannon.surveys.catalogues import read_columns
from fastcannon.translate import tables

ROWS = 5
CANDIDATES = {"name": ("NAME",), "value": ("LOG", "VECTOR[1]"), "other": ("X", "LOG")}


def write(path, **columns):
    """A GALAH catalogue of 5 rows as far as needed, with other columns or changed."""
    base = {
        "sobject_id": 140310002101365 + np.arange(ROWS),
        **dict.fromkeys(("teff", "logg", "fe_h"), np.arange(ROWS) + 0.5),
    }
    Table(base | columns).write(path, overwrite=True)
    return path


@pytest.mark.parametrize("kind", ["fits", "csv"])
@pytest.mark.parametrize("mask", [[0, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
def test_blank_and_masked_names_give_no_star(tmp_path, kind, mask):
    names = ["05505952+0759226", "05505952+0759227", "   ", "", "None"]
    column = MaskedColumn(names, mask=mask)
    for name in ("star_id", "tmass_id"):
        table = galah.read_catalogue(write(tmp_path / f"a.{kind}", **{name: column}))
        expected = ["" if mask[0] else "2M05505952+0759226", "", "", "", ""]
        assert table["star_id"].tolist() == expected


def test_a_letter_that_is_no_ascii_is_named_with_its_file(tmp_path):
    names = np.array([b"a", b"caf\xe9", b"b", b"c", b"d"])
    path = write(tmp_path / "a.fits", star_id=names)
    with pytest.raises(FileFormatError, match=r"a\.fits, HDU 1.*b'caf\\xe9'"):
        galah.read_catalogue(path)


def test_masked_numbers_are_missing(tmp_path):
    mask = [0, 1, 0, 0, 0]
    path = write(
        tmp_path / "masked.csv",
        teff=MaskedColumn([5000, 1, 2, 99999, -9999], mask=mask),
        flag_sp=MaskedColumn(np.arange(ROWS), mask=mask),
        source_id=MaskedColumn(np.arange(ROWS) + 2**60, mask=mask),
    )
    table = galah.read_catalogue(path)
    np.testing.assert_array_equal(table["teff"], [5000, np.nan, 2, np.nan, np.nan])
    assert table["flag_sp"].tolist() == [0, -1, 2, 3, 4]
    assert table["gaia_source_id"].tolist() == [2**60, 0, *range(2**60 + 2, 2**60 + 5)]


def test_flags_kept_as_floats(tmp_path):
    flags = np.array([0, np.nan, 2, np.inf, 4], np.float32)
    table = galah.read_catalogue(write(tmp_path / "floats.fits", flag_sp=flags))
    assert table["flag_sp"].tolist() == [0, -1, 2, -1, 4]


def test_columns_are_found_in_order_and_no_others_are_read(tmp_path, monkeypatch):
    vector = np.arange(10.0).reshape(ROWS, 2)
    path = write(tmp_path / "some.fits", name=["a "] * ROWS, VECTOR=vector)
    read = []
    table = fitsio.hdu.table.TableHDU
    original = table.read
    monkeypatch.setattr(
        table, "read", lambda self, **k: read.append(k) or original(self, **k)
    )
    found = read_columns(path, CANDIDATES, ["name"])
    assert read == [{"columns": ["VECTOR", "name"]}]
    assert found.name("name") == "name" and "other" not in found
    assert found.texts("name").tolist() == ["a"] * ROWS
    assert found.numbers("value").tolist() == [1, 3, 5, 7, 9]
    assert np.isnan(found.numbers("other")).all()
    logs = read_columns(path, CANDIDATES, [], {"value": "10**vector[0]"})
    np.testing.assert_allclose(logs.numbers("value"), 10.0 ** vector[:, 0])
    assert found.numbers("value", (7, np.inf)).tolist()[:3] == [1, 3, 5]
    assert np.isnan(found.numbers("value", (7, np.inf))[3:]).all()


@pytest.mark.parametrize(
    "given, words",
    [
        ({"value": "VECTOR[2]"}, r"no column VECTOR\[2\] for value; alike are VECTOR"),
        ({"value": "a b"}, "is 'a b'; expected NAME, "),
        ({"thing": "NAME"}, "columns names 'thing'; expected some of name, value, oth"),
    ],
)
def test_columns_that_cannot_be_chosen(tmp_path, given, words):
    path = write(tmp_path / "some.fits", NAME=["a"] * ROWS, VECTOR=np.ones((ROWS, 2)))
    with pytest.raises(InputError, match=words):
        read_columns(path, CANDIDATES, [], given)


@pytest.mark.parametrize("name", ["apogee", "galah"])
def test_files_that_are_absent_or_no_catalogues(tmp_path, name):
    survey = surveys.get(name)
    for suffix in ("fits", "csv"):
        with pytest.raises(FileNotFoundError, match=f"none.{suffix}"):
            survey.read_catalogue(tmp_path / f"none.{suffix}")
        path = tmp_path / f"empty.{suffix}"
        path.write_bytes(b"")
        with pytest.raises(FileFormatError, match=r"empty.*no .*table can be read"):
            survey.read_catalogue(path)


def test_lists_of_a_damaged_length_take_no_memory(tmp_path):
    path = write(tmp_path / "a.fits", NAME=["a"] * ROWS, TEFF=np.full(ROWS, 5000.0))
    content = path.read_bytes()
    # a number has 8 bytes, as length and place of a list have
    path.write_bytes(content.replace(b"'D       '", b"'1PE(9)  '"))
    expected = r"a\.fits, HDU 1, column TEFF: lists of any length"
    with pytest.raises(FileFormatError, match=expected):
        read_columns(path, {"teff": ("TEFF",)}, [])


@pytest.mark.parametrize("rows", [10**6, 2**32])
def test_rows_that_are_only_announced_take_no_memory(tmp_path, rows):
    path = write(tmp_path / "a.fits", NAME=["a"] * ROWS, LOG=np.full(ROWS, 5000.0))
    content = path.read_bytes()
    card = f"NAXIS2  = {ROWS:>20}".encode()
    assert content.count(card) == 1
    path.write_bytes(content.replace(card, f"NAXIS2  = {rows:>20}".encode()))
    announced = rf"a\.fits, HDU 1: {rows:,} rows of \d+ bytes are announced"
    with pytest.raises(FileFormatError, match=announced):
        read_columns(path, {"value": ("LOG",)}, [])
    with pytest.raises(FileFormatError, match=announced):
        tables.open_table(path)


def test_a_compressed_catalogue_is_read(tmp_path):
    path = write(tmp_path / "a.fits", NAME=["a"] * ROWS, LOG=np.full(ROWS, 5000.0))
    packed = tmp_path / "a.fits.gz"  # a plain file of this size would be refused
    packed.write_bytes(gzip.compress(path.read_bytes()))
    found = read_columns(packed, {"value": ("LOG",)}, [])
    np.testing.assert_array_equal(found.numbers("value"), 5000.0)


def test_numbers_too_large_for_a_catalogue(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"sobject_id,teff,logg,fe_h\n{10**30},{10**400},1,1\n")
    with pytest.raises(InputError, match=r"a\.csv, column"):
        galah.read_catalogue(path)
