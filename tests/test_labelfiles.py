"""Rows of label tables: labels of chosen spectra, whatever their part."""

import numpy as np
import pytest
from astropy.table import Table

from fastcannon import fitsfiles
from fastcannon.errors import FileFormatError
from fastcannon.kinds import LABELS
from fastcannon.labelfiles import read_columns, read_rows, scaled_labels


def write_parts(folder):
    """Two parts of three spectra; of the second there are no labels, s5 is twice."""
    paths = []
    for number, ids in enumerate((["s0", "s1", "s2"], ["s3", "s5", "s5"])):
        table = Table({"id": ids, "teff": 10.0 * number + np.arange(3)})
        table["e_teff"] = 1.0
        table["status"], table["minima"] = np.array([0, 2 - number, 4]), 1
        paths.append(folder / f"part-{number}.fits")
        fitsfiles.write_table(paths[-1], table, LABELS)
    return paths


def test_labels_come_in_the_order_of_the_ids(tmp_path):
    paths = write_parts(tmp_path)
    found = scaled_labels(paths, ["s5", "s2", "none", "s1", "s0"], ("teff",))
    # s5's first row has no data, s1 did not converge, s2 is only outside the hull
    np.testing.assert_array_equal(found["teff"], [np.nan, 2, np.nan, np.nan, 0])


def test_no_ids_have_no_labels(tmp_path):
    assert len(scaled_labels(write_parts(tmp_path), [], ("teff",))["teff"]) == 0


def test_columns_go_through_all_parts(tmp_path):
    found = read_columns(write_parts(tmp_path), ("id", "teff"))
    np.testing.assert_array_equal(found["teff"], [0, 1, 2, 10, 11, 12])
    assert found["teff"].dtype.isnative
    assert found["id"].tolist() == [b"s0", b"s1", b"s2", b"s3", b"s5", b"s5"]


@pytest.mark.parametrize("cut", [0, 2880])
def test_damaged_labels_are_not_used(tmp_path, cut):
    """One flipped bit of a label, or a file that is cut short."""
    paths = write_parts(tmp_path)
    content = bytearray(paths[1].read_bytes())
    content[-2880] ^= 1  # of the first row's id
    paths[1].write_bytes(content[: len(content) - cut])
    for read in (
        lambda: read_rows(paths, np.array([0, 3, 6]), np.array([0, 4])),
        lambda: read_columns(paths, ("teff",)),
        lambda: scaled_labels(paths, ["s3"], ("teff",)),
    ):
        with pytest.raises(FileFormatError, match=r"part-1\.fits"):
            read()


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileFormatError, match="logg"):
        read_columns(write_parts(tmp_path), ("teff", "logg"))


def test_labels_without_a_status_are_refused(tmp_path):
    path = tmp_path / "part-0.fits"
    fitsfiles.write_table(path, Table({"id": ["s0"], "teff": [1.0]}), LABELS)
    with pytest.raises(FileFormatError, match=r"part-0\.fits.*status"):
        read_rows([path], np.array([0, 1]), np.array([0]))
