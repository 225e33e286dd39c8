"""What faults are tried on: two small surveys, the commands, and what they make."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastcannon import write_spectra
from fastcannon.digests import file_digest
from fastcannon.simulator import simulate
from fastcannon.textfiles import write_ecsv

STARS, PART = 160, 64
# Small models and parts, so that there is more to interrupt.
SETTINGS = f"""
[pack]
stars_per_part = {PART}

[labels]
names = ["teff", "logg", "fe_h"]

[model]
folds = 3
starts = 2
"""
# The program, which allows such small parts here.
# Ctrl-C is ignored in programs that shells start in the background, unless undone.
PROGRAM = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from fastcannon import config
from fastcannon.cli import program
config.PART_STEP = {PART}
if __name__ == "__main__":
    sys.exit(program())
"""
LABELS = ("teff", "logg", "fe_h")
# They tell the time, or are held by a process.
NOT_COMPARED = {"run.log", "timings.json", "manifest.sha256", ".lock", ".writing"}
TEMPORARY = re.compile(r"(^|/)\.[^/]+\.tmp(/|$)")
# What a file of a run belongs to, in the order in which it is made.
STEPS = (
    ("packing", r"packed/"),
    ("matching", r"training|differences\.ecsv"),
    ("training", r"models/|validation/"),
    ("inference", r"labels/"),
    ("joining", r"stars/|left_out/"),
    ("errors", r"factors|precision|differences-"),
    ("catalogues", r"calibration/|catalogues/"),
    ("ending", r"summary"),
)


@dataclass
class Command:
    """A command of the program and the folder it writes into.

    Attributes
    ----------
    name : str
    prepare : callable
        Makes a folder for it; returns the arguments.
    expected : dict of str to str
        Names and digests of all that an undisturbed one makes.
    folder : Path
        Of an undisturbed one.
    seconds : float
        That it takes.
    """

    name: str
    prepare: Callable
    expected: dict
    folder: Path
    seconds: float


def program(arguments, first=""):
    """Return the command line of the program; ``first`` is code before all of it."""
    return [sys.executable, "-c", first + PROGRAM, *map(str, arguments)]


def ended(arguments, first=""):
    """Run the program to its end; return what subprocess.run returns, with texts."""
    return subprocess.run(program(arguments, first), capture_output=True, text=True)


def contents(folder):
    """Return the digest of every file that does not tell the time, by name."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        kept = path.name in NOT_COMPARED or TEMPORARY.search(name)
        if path.is_file() and not kept and not name.startswith("report/"):
            found[name] = file_digest(path)
    return found


def temporaries(folder):
    """Return the files below a folder that were never finished."""
    names = (p.relative_to(folder).as_posix() for p in Path(folder).rglob("*"))
    return sorted(name for name in names if TEMPORARY.search(name))


def halves(folder, expected):
    """Return the names of files that are neither whole nor absent."""
    return [
        name for name, found in contents(folder).items() if expected.get(name) != found
    ] + half_pages(Path(folder) / "report")


def half_pages(folder):
    """Return the files of a report that do not end as their kind does."""
    ends = {".html": b"</html>", ".png": b"IEND\xaeB`\x82", ".pdf": b"%%EOF"}
    found = []
    for path in Path(folder).rglob("*.*") if Path(folder).is_dir() else ():
        end = ends.get(path.suffix)
        if end and not path.read_bytes().rstrip().endswith(end):
            found.append(path.name)
    return found


def step_of(folder, expected):
    """Return the step that a stopped run was at: the first that lacks a file."""
    there = contents(folder)
    for step, pattern in STEPS:
        wanted = {name for name in expected if re.match(pattern, name)}
        if wanted - set(there):
            return step
    return "ending"


class Ground:
    """Two surveys, a spectra file and a table for translators in a folder.

    Parameters
    ----------
    folder : Path
    text : str
        Of the configuration of a run into ``"run"``; of `simulated`.
    """

    def __init__(self, folder, text):
        self.folder = Path(folder)
        self._text = text
        _write_spectra(self.folder / "stars.fits")
        _write_table(self.folder / "common.ecsv")

    def configuration(self, out):
        """Write a configuration of a run into a folder; return its path."""
        path = self.folder / f"{out.parent.name}-{out.name}.toml"
        path.write_text(self._text.replace('folder = "run"', f'folder = "{out}"'))
        return path

    def run(self, out):
        """Return the arguments of a run into a folder."""
        return ["run", self.configuration(out), "--workers", 2, "-q"]

    def pack(self, out):
        """Return the arguments of packing into a folder."""
        return ["pack", self.configuration(out), "--processes", 2, "-q"]

    def train(self, out):
        """Return the arguments of training a model."""
        out.mkdir(exist_ok=True)
        source = self.folder / "stars.fits"
        return ["train", source, "--labels", *LABELS, "-o", out / "model.fits", "-q"]

    def infer(self, out, model):
        """Return the arguments of inferring labels."""
        out.mkdir(exist_ok=True)
        source = self.folder / "stars.fits"
        return ["infer", model, source, "-o", out / "labels.fits", "--block", 64, "-q"]

    def validate(self, out):
        """Return the arguments of a cross-validation with its table and figure."""
        out.mkdir(exist_ok=True)
        files = ["-o", out / "table.fits", "--figure", out / "figure.png"]
        source = self.folder / "stars.fits"
        return ["validate", source, "--labels", *LABELS, "--folds", 3, *files, "-q"]

    def report(self, out, run):
        """Return the arguments of the report of a finished run, copied."""
        if not out.exists():
            shutil.copytree(run, out, ignore=shutil.ignore_patterns(".lock", "report"))
        return ["report", out, "-q"]

    def translate_train(self, out):
        """Return the arguments of training a translator."""
        out.mkdir(exist_ok=True)
        columns = ["--inputs", *(f"{name}_a" for name in LABELS)]
        columns += ["--outputs", *(f"{name}_b" for name in LABELS)]
        small = ["--ensemble", 2, "-o", out / "model.fits", "-q"]
        return ["translate", "train", self.folder / "common.ecsv", *columns, *small]

    def translate_apply(self, out, model):
        """Return the arguments of translating a table."""
        out.mkdir(exist_ok=True)
        source = self.folder / "common.ecsv"
        result = out / "labels.fits"
        return ["translate", "apply", model, source, "-o", result, "-q"]


def simulated(folder):
    """Simulate two surveys into a folder; return the text of a configuration."""
    simulate(folder, STARS, STARS, seed=2)
    text = (Path(folder) / "fastcannon.toml").read_text()
    for name in ("apogee", "galah", "gaia"):
        text = text.replace(f'"{name}/', f'"{folder}/{name}/')
    return text[: text.index("[labels]")] + SETTINGS


def _write_spectra(path, n_stars=600, n_pixels=4000):
    """Write normalised spectra of stars with labels."""
    rng = np.random.default_rng(3)
    stars = _labels(rng, n_stars)
    scaled = np.column_stack([stars[name] for name in LABELS])
    scaled = (scaled - scaled.mean(axis=0)) / np.ptp(scaled, axis=0)
    flux = 1 - 0.2 * abs(scaled @ rng.normal(size=(3, n_pixels)) * 0.3)
    flux += rng.normal(scale=0.01, size=flux.shape)
    ivar = np.full(flux.shape, 1e4)
    grid = np.linspace(15000, 16000, n_pixels)
    write_spectra(path, flux, ivar, grid, stars, normalised=True)


def _write_table(path, n_stars=1500):
    """Write stars with labels of two surveys, the second's shifted."""
    rng = np.random.default_rng(4)
    table = _labels(rng, n_stars)
    for name in LABELS:
        values = table[name]
        table.rename_column(name, f"{name}_a")
        width = np.ptp(values)
        noise = rng.normal(scale=0.01 * width, size=n_stars)
        table[f"{name}_b"] = values + 0.05 * width + noise
    write_ecsv(path, table)


def _labels(rng, n_stars):
    """Return a table of random stars."""
    from astropy.table import Table

    return Table(
        {
            "id": [f"star{number:05d}" for number in range(n_stars)],
            "teff": rng.uniform(4000, 5500, n_stars),
            "logg": rng.uniform(1, 4, n_stars),
            "fe_h": rng.uniform(-1, 0.4, n_stars),
        }
    )
