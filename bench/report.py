"""The report: of the demonstration's run, and of one with catalogues of a million rows.

The large run is the small one with more partitions and tables of labels: noisy copies
of its own.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from fastcannon.catalogue_files import read_partition, write_partition
from fastcannon.fitsfiles import TABLE_VERSION, hdu_to_table, open_verified, write_table
from fastcannon.kinds import LABELS

from .results import at_most

SIZE = 1_000_000  # rows of each catalogue
COPIES = 3  # of the small run in one part: some 3,600 stars, as in real runs
MB = 1e6

REPORT = """
import sys
from bench.peaks import WorkerPeak, own_peak
from fastcannon.cli import main
if __name__ == "__main__":
    workers = WorkerPeak()
    assert main(["report", *sys.argv[1:], "--quiet"]) == 0
    print(own_peak(), workers.gib)
"""


def bench_report():
    """Time, memory and page of both reports."""
    with tempfile.TemporaryDirectory() as name:
        demo = [sys.executable, "-m", "fastcannon.demo", "--out", name]
        subprocess.run(demo, check=True, capture_output=True)
        return measure(Path(name) / "surveys")


def measure(surveys):
    """Make the reports of a finished demonstration and of its enlarged run.

    Parameters
    ----------
    surveys : Path
        Folder that ``fastcannon.demo`` has made; its run is left as it is, but for its
        report.
    """
    seconds, _, _, page = report(surveys / "run", surveys)
    what = "report of 1,200 + 1,200 stars"
    rows = [
        at_most(what, seconds, 40, "s"),
        at_most(f"{what}: page", page / MB, 15, "MB"),
    ]
    with tempfile.TemporaryDirectory() as name:
        large = Path(name) / "run"
        count = enlarge(surveys / "run", large)
        seconds, own, workers, page = report(large, surveys)
        text = (large / "report" / "index.html").read_text("utf-8")
        assert f"all {count:,} stars" in text, "the page does not show all rows"
    what = f"report of catalogues of {SIZE:,} rows"
    return [
        *rows,
        at_most(what, seconds, 180, "s"),
        at_most(f"{what}: memory", own, 2, "GiB"),
        at_most(f"{what}: memory of a worker", workers, 2, "GiB"),
        at_most(f"{what}: page", page / MB, 15, "MB"),
    ]


def report(run, surveys):
    """Make a report: its seconds, GiB of parent and largest worker, bytes of page."""
    files = {
        "--members": surveys / "clusters" / "members.ecsv",
        "--literature": surveys / "clusters" / "clusters.ecsv",
        "--isochrones": surveys / "isochrones" / "parsec.dat",
    }
    options = [str(one) for pair in files.items() for one in pair]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", REPORT, str(run), *options],
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(done.stderr)
    own, workers = map(float, done.stdout.split())
    return seconds, own, workers, (run / "report" / "index.html").stat().st_size


def enlarge(small, large):
    """Copy a run of one part and add parts; return the rows of each catalogue.

    The first part stays as it is: its stars are those that have spectra.
    """
    left_out = shutil.ignore_patterns("packed", "report", ".lock")
    shutil.copytree(small, large, ignore=left_out)
    (large / "packed").symlink_to((small / "packed").resolve())
    pair = json.loads((small / "run.json").read_text())["match.surveys"]
    own = len(read_partition(part(large, pair[0], pair[0]))[0])
    own += len(read_partition(part(large, pair[1], pair[0]))[0])
    parts = -(-(SIZE - own) // (COPIES * own))
    for survey in pair:
        for scale in pair:
            add_labels(large / "labels" / f"{survey}-on-{scale}", parts)
            add_rows(large, survey, scale, parts)
    return own + parts * COPIES * own


def part(run, survey, scale, number=0):
    """Return the path of a partition."""
    folder = run / "catalogues" / f"{scale}-scaled"
    return folder / f"{survey}-{number:05d}.parquet"


def add_labels(folder, parts):
    """Add tables of labels: one of repeated rows, and links to it."""
    with open_verified(folder / "part-00000.fits", LABELS, TABLE_VERSION) as hdus:
        table = hdu_to_table(hdus[LABELS])
    first = folder / "part-00001.fits"
    write_table(first, vstack([table] * COPIES), LABELS)
    for number in range(2, parts + 1):
        (folder / f"part-{number:05d}.fits").symlink_to(first)


def add_rows(run, survey, scale, parts):
    """Add partitions of repeated rows with noise.

    Rows keep the id of their spectrum, so that the page shows as many spectra as that
    of a real run; but they are other sources of Gaia's, and no members of clusters.
    """
    table, facts = read_partition(part(run, survey, scale))
    table = vstack([table] * COPIES)
    errors = [name for name in table.colnames if name.startswith("e_")]
    rng = np.random.default_rng(0)
    for number in range(1, parts + 1):
        rows = Table(table, copy=True)
        for error in errors:
            width = np.nan_to_num(np.asarray(rows[error], dtype=float))
            rows[error[2:]] += (width * rng.normal(size=len(rows))).astype("f4")
        rows["r_est"] *= rng.uniform(0.8, 1.25, len(rows)).astype("f4")
        new = number * len(rows) + np.arange(len(rows))
        rows["dr2_source_id"] = rows["dr3_source_id"] = new
        write_partition(part(run, survey, scale, number), rows, facts)
