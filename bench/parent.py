"""Memory of a run that grows with the number of stars: tiny spectra, many of them."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.table import Table

from fastcannon.spectrawriter import SpectraWriter

from .results import at_most, only

SIZES = (50_000, 500_000)  # spectra of each of two surveys
COMMON, PIXELS, PART = 3000, 64, 50_000
NAMES = ("teff", "logg", "fe_h")
CENTRES, WIDTHS = np.array([5000.0, 3.0, -0.2]), np.array([500.0, 0.8, 0.3])

RUN = """
import sys
from bench.peaks import WorkerPeak, own_peak
from fastcannon.cli import main
if __name__ == "__main__":
    workers = WorkerPeak()
    assert main(["run", sys.argv[1], "--quiet", "--workers", "2"]) == 0
    print(own_peak(), workers.gib, file=sys.stderr)
"""

IMPORTS = """
import sys
from bench.peaks import own_peak
import fastcannon.run
print(own_peak(), file=sys.stderr)
"""

CONFIGURATION = """
[output]
folder = "run"
[surveys.a]
format = "spectra"
spectra = ["a-*.fits"]
catalogue = "catalogue-a.fits"
[surveys.b]
format = "spectra"
spectra = ["b-*.fits"]
catalogue = "catalogue-b.fits"
[labels]
names = ["teff", "logg", "fe_h"]
[labels.censors]
[model]
folds = 4
"""


def bench_parent():
    """Whole runs of two sizes: memory of the parent and of the workers."""
    found, rows = [], []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            own, workers = run_once(Path(name), size)
        found.append(own)
        rows += [
            at_most(f"run of 2 x {size:,} stars: memory of the parent", own, 2, "GiB"),
            at_most(
                f"run of 2 x {size:,} stars: memory of a worker", workers, 2, "GiB"
            ),
        ]
    # What is there for any number of stars comes first; peaks of small runs are of
    # other steps than those of large ones, so that their difference says little.
    imports = float(output(IMPORTS).split()[-1])
    slope = (found[1] - imports) * 2**30 / (2 * SIZES[1])
    return [*rows, only("memory of the run's parent per spectrum", slope, "bytes")]


def run_once(folder, size):
    """Make two surveys of tiny spectra and run; GiB of parent and largest worker."""
    rng = np.random.default_rng(0)
    theta = 0.05 * rng.normal(size=(2, PIXELS, 1 + len(NAMES)))
    theta[:, :, 0] = 0.9
    for number, name in enumerate("ab"):
        write_survey(folder, name, theta[number], size, number)
    (folder / "run.toml").write_text(CONFIGURATION)
    return map(float, output(RUN, str(folder / "run.toml")).split()[-2:])


def output(program, *arguments):
    """Run a program; return what it writes to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stderr


def write_survey(folder, name, theta, size, number):
    """Write a survey's spectra files and catalogue; the first stars are common."""
    labels = np.random.default_rng(1).normal(size=(size, len(NAMES)))
    rng = np.random.default_rng(2 + number)
    stars = np.arange(size) + np.where(np.arange(size) < COMMON, 0, number * size)
    ids = np.array([f"{name}{star:015d}" for star in stars])
    star_ids = np.array([f"2M{star:015d}" for star in stars])
    wavelength = np.linspace(5000.0, 5100.0, PIXELS)
    for part, start in enumerate(range(0, size, PART)):
        rows = slice(start, start + PART)
        flux = theta[:, 0] + labels[rows] @ theta[:, 1:].T
        flux += 0.01 * rng.normal(size=flux.shape)
        writer = SpectraWriter(folder / f"{name}-{part:04d}.fits", wavelength, True)
        with writer:
            table = Table({"id": ids[rows], "star_id": star_ids[rows]})
            writer.append(flux, np.full(flux.shape, 1e4), table)
    given = CENTRES + WIDTHS * (labels + 0.05 * rng.normal(size=labels.shape))
    columns = {label: given[:, k] for k, label in enumerate(NAMES)}
    columns |= {f"e_{label}": 0.05 * np.ones(size) for label in NAMES}
    columns |= {"id": ids, "star_id": star_ids, "snr": np.full(size, 100.0)}
    columns |= {"ra": np.zeros(size), "dec": np.zeros(size)}
    columns["gaia_source_id"] = stars + 1
    Table(columns).write(folder / f"catalogue-{name}.fits")
