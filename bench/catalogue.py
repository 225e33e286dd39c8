"""A catalogue of ten million rows written in flat memory, in processes of their own."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.table import Table

from fastcannon.catalogue import COLUMNS, dress
from fastcannon.catalogue_files import (
    CATALOGUE_VERSION,
    KIND,
    read_partition,
    write_catalogue,
    write_partition,
)
from fastcannon.fitsfiles import hdu_to_table, open_verified

from .results import at_most, only

PARTITION = 100_000  # rows
SIZES = (1_000_000, 10_000_000)
MIB = 2.0**20

WRITE = """
import sys, time
from fastcannon.catalogue import COLUMNS
from fastcannon.catalogue_files import write_catalogue
from fastcannon.fitsheaders import scan
partition, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = time.perf_counter()
write_catalogue(path, [partition] * count, COLUMNS, {})
seconds = time.perf_counter() - start
peak = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(scan(path)[1].header["NAXIS2"], peak, seconds)
"""


def bench_catalogue():
    """Memory at one and ten million rows, its slope, and the time per million."""
    rows, peaks = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        partition = folder / "part.parquet"
        write_partition(partition, random_rows(PARTITION), {})
        check(partition, folder / "small.fits")
        for size in SIZES:
            peak, seconds = write(partition, folder / "catalogue.fits", size)
            peaks.append(peak)
            what = f"catalogue of {size:,} rows"
            rows.append(at_most(f"{what}: memory", peak / 1024, 1.0, "GiB"))
    slope = (peaks[1] - peaks[0]) * MIB / (SIZES[1] - SIZES[0])
    rows.append(at_most("catalogue: memory per further row", slope, 5, "bytes"))
    rate = seconds / SIZES[1] * 1e6
    return [*rows, only("catalogue: time per million rows", rate, "s")]


def random_rows(count):
    """Rows of random numbers in all columns; ids of the length of APOGEE's."""
    rng = np.random.default_rng(7)
    table = Table()
    for column in COLUMNS:
        kind = np.dtype(column.dtype)
        if kind.kind == "U":
            numbers = rng.integers(10**15, size=count)
            values = np.array([f"apo25m.120-08-RV.2M{n:016d}" for n in numbers], kind)
        elif kind.kind == "i":
            values = rng.integers(2 ** (8 * kind.itemsize - 1), size=count, dtype=kind)
        else:
            values = rng.normal(size=count).astype(kind)
        table[column.name] = values
    return dress(table, COLUMNS)


def check(partition, path):
    """Refuse to measure what is not written as it was given."""
    write_catalogue(path, [partition] * 2, COLUMNS, {})
    expected, _ = read_partition(partition)
    with open_verified(path, KIND, CATALOGUE_VERSION) as hdus:
        found = hdu_to_table(hdus[1])
    assert len(found) == 2 * PARTITION
    for name in expected.colnames:
        for half in (found[:PARTITION], found[PARTITION:]):
            np.testing.assert_array_equal(half[name], expected[name])


def write(partition, path, size):
    """Peak memory in MiB and seconds of writing so many rows."""
    command = [sys.executable, "-c", WRITE, partition, path, size // PARTITION]
    done = subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True
    )
    n_rows, peak, seconds = map(float, done.stdout.split())
    assert n_rows == size
    return peak / 1024, seconds
