"""One small simulated pair of surveys and its finished run, shared by all tests.

`conftest` makes the fixtures known. A folder that a test may spoil is a copy of the
finished run whose packed spectra are links.
"""

import hashlib
import shutil
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

import pytest
from astropy.io import fits
from astropy.table import Table

from fastcannon import config as configuration
from fastcannon import run
from fastcannon.config import read_config
from fastcannon.fitsfiles import hdu_to_table
from fastcannon.packed import PackedSurvey
from fastcannon.simulator import simulate

NAMES = ("teff", "logg", "fe_h")
CASES = ["apogee-on-apogee", "apogee-on-galah", "galah-on-apogee", "galah-on-galah"]
STARS = 160
PART = 64  # groups in a part: three parts for each survey
SETTINGS = f"""
[labels]
names = ["teff", "logg", "fe_h"]

[pack]
stars_per_part = {PART}
processes = 1

[model]
folds = 3
starts = 2
"""
GAIA = "gaia/gaia.fits"
GAIA_NAMES = {
    "parallax": "parallax",
    "e_parallax": "parallax_error",
    "r_est": "r_est",
    "r_lo": "r_lo",
    "r_hi": "r_hi",
}
_NOT_COMPARED = {"run.log", "timings.json", "manifest.sha256", ".lock", ".writing"}


class Done(NamedTuple):
    """A finished run: its surveys, the text of its configuration, what it said."""

    surveys: Path
    text: str
    path: Path
    folder: Path
    summary: dict
    said: list

    @property
    def config(self):
        return load(self.path)


@contextmanager
def small_parts():
    """Allow parts that are smaller than a block of normalisation."""
    with mock.patch.object(configuration, "PART_STEP", PART):
        yield


def load(path):
    """Read a configuration with small parts."""
    with small_parts():
        return read_config(path)


def write(folder, text, *changes):
    """Write a configuration with some of its text replaced; return its path."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(exist_ok=True)
    path = folder / "fastcannon.toml"
    path.write_text(text)
    return path


def no_bar(total, unit):
    """Return the progress bar that shows nothing."""
    return nullcontext(SimpleNamespace(update=lambda count: None))


def go(path, bar=no_bar, **workers):
    """Run a configuration; return the summary and the lines said."""
    said = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* training stars for", UserWarning)
        found = run.run_all(load(path), said.append, bar, **workers or {"workers": 1})
    return found, said


def copied(done, folder, *without):
    """Copy a finished run but for some of its files; return the configuration's path.

    Packed spectra are links. A configuration of the same settings is beside it.
    """
    left_out = shutil.ignore_patterns("packed", ".lock", *without)
    shutil.copytree(done.folder, folder / "run", ignore=left_out)
    for survey in (done.folder / "packed").iterdir():
        links = folder / "run" / "packed" / survey.name
        links.mkdir(parents=True)
        shutil.copy(survey / "refused.ecsv", links)
        for part in survey.glob("part-*.fits"):
            (links / part.name).symlink_to(part)
    return write(folder, done.text)


def contents(folder):
    """Return the digest of every file of a run that does not tell the time."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _NOT_COMPARED
    }


@pytest.fixture(scope="session")
def small_surveys(tmp_path_factory):
    """Folder of two simulated surveys that share all their stars."""
    folder = tmp_path_factory.mktemp("small") / "surveys"
    simulate(folder, STARS, overlap=STARS, seed=2, processes=2)
    return folder


@pytest.fixture(scope="session")
def done(small_surveys, tmp_path_factory):
    """The finished run of the two surveys; not to be changed."""
    text = (small_surveys / "fastcannon.toml").read_text()
    text = text[: text.index("[labels]")] + SETTINGS
    for name in ("apogee", "galah", "gaia"):
        text = text.replace(f'"{name}/', f'"{small_surveys}/{name}/')
    home = tmp_path_factory.mktemp("done")
    path = write(home, text)
    summary, said = go(path)
    return Done(small_surveys, text, path, home / "run", summary, said)


@pytest.fixture(scope="session")
def training_stars(done):
    """The training set of the finished run; not to be changed."""
    return read(done.folder / "training.fits")


def read(path):
    """Return the table of one of our FITS files, or a text table."""
    if path.suffix == ".ecsv":
        return Table.read(path)
    with fits.open(path) as hdus:
        return hdu_to_table(hdus[1])


def packed(done, survey):
    return PackedSurvey.open(done.folder / "packed" / survey)


def first_part(done, survey):
    return done.folder / "packed" / survey / "part-00000.fits"


def by_id(table, rows):
    """Return the rows of a table that have the ids of catalogue rows."""
    place = {str(name): i for i, name in enumerate(table["id"])}
    return table[[place[name] for name in rows["survey_id"]]]
