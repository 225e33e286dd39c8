"""Files of a catalogue: round trips, damage, equality, flat memory, manifests."""

import shutil
import subprocess
import tracemalloc

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from astropy.io import fits
from astropy.table import Column as TableColumn
from astropy.table import MaskedColumn, Table, vstack

from fastcannon import FileFormatError, InputError
from fastcannon.catalogue import COLUMNS, columns, dress
from fastcannon.catalogue_files import (
    CATALOGUE_VERSION,
    KIND,
    check_manifest,
    read_partition,
    write_catalogue,
    write_manifest,
    write_partition,
)
from fastcannon.fitsfiles import hdu_to_table, open_verified
from fastcannon.fitsheaders import scan

FACTS = {"CASE": "apogee-on-galah", "PART": 3, "nested": {"model": ["ab", 0.25]}}
HEADER = {"FCVER": ("0.1.0", "fastcannon that wrote it"), "NAPOGEE": 12}


def random_rows(n, seed=0, wanted=COLUMNS):
    """A catalogue of random numbers: NaN, infinite and extreme ones, long ids."""
    rng = np.random.default_rng(seed)
    table = Table()
    for column in wanted:
        kind = np.dtype(column.dtype)
        if kind.kind == "U":
            values = np.array([f"{seed}.{i:0{i % 50 + 1}d}" for i in range(n)], kind)
        elif kind.kind == "i":
            top = np.iinfo(kind).max
            values = rng.integers(-top, top, n, dtype=kind, endpoint=True)
            values[: min(n, 2)] = 0
        else:
            values = rng.normal(size=n).astype(kind)
            values[::7], values[3::11] = np.nan, np.inf
        table[column.name] = values
    return dress(table, wanted)


def assert_same(found, expected):
    """The same names, types, values (NaN equal), units, descriptions and UCDs."""
    assert found.colnames == expected.colnames
    for name in expected.colnames:
        one, other = found[name], expected[name]
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        assert (one.unit, one.description) == (other.unit, other.description)
        assert one.meta == other.meta


@pytest.fixture
def partitions(tmp_path):
    """Three partitions of 5, 0 and 90 rows."""
    paths = [tmp_path / f"part-{k:05d}.parquet" for k in range(3)]
    for k, n in enumerate((5, 0, 90)):
        write_partition(paths[k], random_rows(n, k), FACTS)
    return paths


@pytest.mark.parametrize("n", [0, 1, 100])
def test_a_partition_comes_back(tmp_path, n):
    path, table = tmp_path / "a.parquet", random_rows(n)
    write_partition(path, table, FACTS)
    found, facts = read_partition(path)
    assert_same(found, table)
    assert facts == FACTS


def test_other_tools_see_units_and_checksums(tmp_path):
    path = tmp_path / "a.parquet"
    write_partition(path, random_rows(10), FACTS)
    schema = parquet.read_schema(path)
    assert schema.field("teffCann").metadata[b"unit"] == b"K"
    assert schema.field("ra").metadata[b"ucd"] == b"pos.eq.ra;meta.main"
    assert b"Gaia DR3" in schema.field("dr3_source_id").metadata[b"description"]
    assert str(schema.field("dr3_source_id").type) == "int64"
    assert not schema.field("dr3_source_id").nullable  # no tool makes it a float
    assert b"apogee-on-galah" in schema.metadata[b"fastcannon"]


def test_the_same_rows_are_the_same_bytes(tmp_path, partitions):
    for k, order in enumerate((FACTS, dict(reversed(FACTS.items())))):
        write_partition(tmp_path / f"{k}.parquet", random_rows(90, 2), order)
        write_catalogue(tmp_path / f"{k}.fits", partitions, COLUMNS, HEADER)
    for suffix in ("parquet", "fits"):
        one, other = (tmp_path / f"{k}.{suffix}" for k in (0, 1))
        assert one.read_bytes() == other.read_bytes()


def test_damage_is_found_wherever_it_is(tmp_path):
    """A changed byte is an error, or one of those that carry nothing we give."""
    path, table = tmp_path / "a.parquet", random_rows(30)
    write_partition(path, table, FACTS)
    intact = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for place in rng.choice(len(intact), 300, replace=False):
        damaged = bytearray(intact)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found, facts = read_partition(path)
        except FileFormatError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert_same(found, table)
            assert facts == FACTS
    assert refused > 100


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, -1])
def test_a_partition_cut_short(tmp_path, keep):
    path = tmp_path / "a.parquet"
    write_partition(path, random_rows(30), FACTS)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep == 0.5 else keep])
    with pytest.raises(FileFormatError, match=r"a\.parquet.*remove it and run again"):
        read_partition(path)


def test_files_that_are_no_partitions(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        read_partition(tmp_path / "none.parquet")
    with pytest.raises(FileNotFoundError, match="none"):
        write_catalogue(tmp_path / "a.fits", [tmp_path / "none"], COLUMNS, {})
    path = tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"a": [1, 2]}), path)
    with pytest.raises(FileFormatError, match="no partition of a fastcannon cat"):
        read_partition(path)


@pytest.mark.parametrize(
    "values",
    [
        MaskedColumn([1.0, 2.0], mask=[True, False]),
        np.ones((2, 2)),
        [True, False],
        np.array(["a", None], dtype=object),
    ],
)
def test_columns_that_partitions_cannot_hold(tmp_path, values):
    table = Table({"odd": values})
    with pytest.raises(InputError, match="column odd has type"):
        write_partition(tmp_path / "a.parquet", table, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("facts", [{"a": np.nan}, {"a": np.arange(2)}, {("a",): 1}])
def test_facts_that_are_not_json(tmp_path, facts):
    with pytest.raises(InputError, match="cannot be kept as JSON"):
        write_partition(tmp_path / "a.parquet", random_rows(1), facts)


def test_big_endian_columns_are_written(tmp_path):
    table = Table({"a": TableColumn(np.arange(3, dtype=">f4"))})
    write_partition(tmp_path / "a.parquet", table, {})
    found, _ = read_partition(tmp_path / "a.parquet")
    assert found["a"].tolist() == [0, 1, 2] and found["a"].dtype == "f4"


@pytest.mark.parametrize("kind", ["U50000000", "U9999", "O", "V8", "f4, f4", "M8[s]"])
def test_types_of_a_partition_that_take_all_memory(tmp_path, kind):
    path, table = tmp_path / "a.parquet", Table({"name": ["x"] * 150_000})
    write_partition(path, table, FACTS)
    found = parquet.read_table(path)
    described = {b"name": b"name", b"dtype": kind.encode(), b"unit": b"", b"ucd": b""}
    field = found.schema.field(0).with_metadata({**described, b"description": b""})
    schema = pyarrow.schema([field], metadata=found.schema.metadata)
    parquet.write_table(found.cast(schema), path)
    tracemalloc.start()
    with pytest.raises(FileFormatError, match=r"has the type|rows take"):
        read_partition(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_the_fits_file_equals_its_partitions(tmp_path, partitions):
    path = tmp_path / "catalogue.fits"
    write_catalogue(path, partitions, COLUMNS, HEADER)
    with open_verified(path, KIND, CATALOGUE_VERSION) as hdus:
        assert hdus[0].header["FCVER"] == "0.1.0" and hdus[0].header["NAPOGEE"] == 12
        assert hdus[0].header.comments["FCVER"] == "fastcannon that wrote it"
        header, found = hdus[1].header, hdu_to_table(hdus[1])
    expected = vstack([read_partition(path)[0] for path in partitions])
    assert found.colnames == expected.colnames and len(found) == 95
    letters = {"i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D", "U64": "64A"}
    for number, column in enumerate(COLUMNS, start=1):
        assert header[f"TUCD{number}"] == column.ucd
        assert header[f"TCOMM{number}"] == column.description
        assert header[f"TFORM{number}"] == letters[column.dtype]
        own, other = found[column.name], expected[column.name]
        assert own.unit == other.unit
        np.testing.assert_array_equal(np.ma.getdata(own), other)
    for name in ("dr2_source_id", "dr3_source_id"):
        masked = np.ma.getmaskarray(found[name])
        np.testing.assert_array_equal(masked, expected[name] == 0)
        assert masked.any() and not masked.all()


def test_the_fits_file_satisfies_astropy(tmp_path, partitions):
    path = tmp_path / "catalogue.fits"
    write_catalogue(path, partitions, COLUMNS, HEADER)
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum is a warning
        hdus.verify("exception")
        assert hdus[1].data["survey_id"][5] == "2.0"
        assert hdus[1].columns["fehCann"].unit == "dex"
        assert hdus[1].header["TNULL3"] == 0


def test_a_catalogue_without_rows(tmp_path):
    write_catalogue(tmp_path / "a.fits", [], COLUMNS, {})
    with open_verified(tmp_path / "a.fits", KIND, CATALOGUE_VERSION) as hdus:
        assert len(hdus[1].data) == 0 and len(hdus[1].columns) == len(COLUMNS)


def test_a_damaged_partition_ends_the_writing(tmp_path, partitions):
    path = tmp_path / "catalogue.fits"
    path.write_bytes(b"the catalogue before")
    damaged = bytearray(partitions[2].read_bytes())
    damaged[len(damaged) // 4] ^= 1
    partitions[2].write_bytes(damaged)
    with pytest.raises(FileFormatError, match="part-00002"):
        write_catalogue(path, partitions, COLUMNS, HEADER)
    assert path.read_bytes() == b"the catalogue before"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("names", [("teff",), ("logg", "teff")])
def test_partitions_of_other_columns(tmp_path, names):
    path = tmp_path / "a.parquet"
    write_partition(path, random_rows(2, wanted=columns(names)), {})
    with pytest.raises(FileFormatError, match=r"a\.parquet: its columns are not"):
        write_catalogue(tmp_path / "a.fits", [path], columns(("teff", "logg")), {})


def test_a_partition_that_changes_while_it_is_read(tmp_path, partitions, monkeypatch):
    monkeypatch.setattr("fastcannon.catalogue_files._row_count", lambda path: 31)
    with pytest.raises(FileFormatError, match=r"changed while .*\(\+2 rows\)"):
        write_catalogue(tmp_path / "a.fits", partitions, COLUMNS, HEADER)


@pytest.mark.parametrize(
    "card",
    [
        {"TOOLONGKEY": 1},
        {"lower": 1},
        {"NAXIS": 1},
        {"FCTYPE": "SPECTRA"},
        {"CHECKSUM": "0"},
        {"A": np.nan},
        {"A": "\xe9"},
        {"A": [1, 2]},
        {"A": "line\nbreak"},
    ],
)
def test_header_cards_that_fits_cannot_hold(tmp_path, card):
    with pytest.raises(InputError, match=r"card .* cannot be written in FITS"):
        write_catalogue(tmp_path / "a.fits", [], COLUMNS, card)
    assert not list(tmp_path.iterdir())


def test_long_provenance_is_kept(tmp_path):
    text = "survey = 'apogee'; " * 40
    write_catalogue(tmp_path / "a.fits", [], COLUMNS, {"CONFIG": text})
    assert scan(tmp_path / "a.fits")[0].header["CONFIG"] == text.rstrip()


def test_memory_does_not_grow_with_the_catalogue(tmp_path):
    path = tmp_path / "a.parquet"
    write_partition(path, random_rows(4000), {})
    peaks = []
    for count in (6, 16):
        tracemalloc.start()
        write_catalogue(tmp_path / "a.fits", [path] * count, COLUMNS, {})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert scan(tmp_path / "a.fits")[1].header["NAXIS2"] == 64_000
    # Measured: 4.39 and 4.40 MB for files of 6.3 and 16.8 MB; the sums take 2.9 MB.
    assert peaks[1] < peaks[0] + 0.5e6


def test_a_manifest_finds_every_change(tmp_path):
    run = tmp_path / "run"
    (run / "parts" / "deep").mkdir(parents=True)
    names = ["z.fits", "parts/b b.txt", "parts/deep/a.txt", "parts/.hidden", "\xe9.txt"]
    for name in names:
        (run / name).write_text(name)
    for name in (".lock", "run.lock", "parts/.a.fits.0123.tmp"):
        (run / name).write_text("passing")
    manifest = run / "SHA256SUMS"
    write_manifest(manifest, run)
    first = manifest.read_bytes()
    listed = [line[66:] for line in first.decode().splitlines()]
    assert listed == sorted(names)
    write_manifest(manifest, run)
    assert manifest.read_bytes() == first
    assert check_manifest(manifest) == []
    (run / "z.fits").write_text("Z.fits")
    (run / "parts" / "b b.txt").unlink()
    problems = ["parts/b b.txt is missing", "z.fits was changed or is damaged"]
    assert check_manifest(manifest) == problems


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_sha256sum_reads_the_manifest(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a b.txt").write_text("abc")
    write_manifest(tmp_path / "SHA256SUMS", tmp_path / "run")  # from outside
    command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "run/a b.txt: OK\n")


def test_manifests_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        write_manifest(tmp_path / "SHA256SUMS", tmp_path / "none")
    (tmp_path / "bad\nname").write_text("")
    with pytest.raises(InputError, match="line break or a backslash"):
        write_manifest(tmp_path / "SHA256SUMS", tmp_path)
    (tmp_path / "SHA256SUMS").write_text("0123  a\n")
    with pytest.raises(FileFormatError, match="line 1: '0123  a' is not"):
        check_manifest(tmp_path / "SHA256SUMS")
    with pytest.raises(FileNotFoundError):
        check_manifest(tmp_path / "none")
