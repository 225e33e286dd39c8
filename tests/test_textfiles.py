"""Text files that know their digest: plain for others, and no bit may be wrong."""

import json

import numpy as np
import pytest
from astropy.table import Table

from fastcannon.errors import FileFormatError
from fastcannon.textfiles import read_ecsv, read_json, write_ecsv, write_json

VALUES = {"b": np.float64(0.1), "a": [1, None, True], "c": {"d": (2.5, "x")}}
PLAIN = {"b": 0.1, "a": [1, None, True], "c": {"d": [2.5, "x"]}}


@pytest.fixture
def files(tmp_path):
    table = Table({"x": [1.5, np.nan], "name": ["one two", "#3"]}, meta={"fit": [1.0]})
    write_json(tmp_path / "a.json", VALUES)
    write_ecsv(tmp_path / "a.ecsv", table)
    return {tmp_path / "a.json": read_json, tmp_path / "a.ecsv": read_ecsv}, table


def test_they_come_back_and_others_can_read_them(files):
    (values, table), expected = files
    assert read_json(values) == PLAIN
    found = json.loads(values.read_text())
    assert found.pop("sha256") and found == PLAIN
    for one in (read_ecsv(table), Table.read(table)):
        assert one.meta == expected.meta and one.colnames == expected.colnames
        np.testing.assert_array_equal(one["x"], expected["x"])
        assert list(one["name"]) == list(expected["name"])


def test_equal_content_is_equal_bytes(files, tmp_path):
    (values, _), _ = files
    write_json(tmp_path / "b.json", dict(reversed(VALUES.items())))
    assert values.read_bytes() == (tmp_path / "b.json").read_bytes()


def test_numbers_that_json_does_not_know(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": np.nan, "b": [np.inf, np.float32(0.5)], "c": {"d": -np.inf}})
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()
    assert read_json(path) == {"a": None, "b": [None, 0.5], "c": {"d": None}}


def test_every_flipped_bit_is_found(files):
    for path, reader in files[0].items():
        content = path.read_bytes()
        for place in range(len(content)):
            for bit in range(8):
                wrong = bytearray(content)
                wrong[place] ^= 1 << bit
                path.write_bytes(wrong)
                with pytest.raises(FileFormatError, match="does not agree with its"):
                    reader(path)


def test_what_is_cut_or_of_others_is_refused(files):
    for path, reader in files[0].items():
        content = path.read_bytes()
        for other in (content[:-30], b"", b"{}", content + b" ", 2 * content):
            path.write_bytes(other)
            with pytest.raises(FileFormatError, match="does not agree with its sha256"):
                reader(path)
