"""What bench.fuzz and tests/test_fuzz_files.py give to each reader."""

import sys
from pathlib import Path

import numpy as np
from astropy.table import Table

from fastcannon import CannonModel, surveys
from fastcannon.catalogue_files import read_partition
from fastcannon.censors import read_windows
from fastcannon.cluster_files import read_literature, read_members
from fastcannon.config import read_config
from fastcannon.describe import describe
from fastcannon.isochrones import read_isochrones
from fastcannon.packed import PackedSurvey
from fastcannon.spectra import SpectraFile
from fastcannon.surveys import apogee, galah
from fastcannon.surveys.base import Group
from fastcannon.translate import Translator, tables

from . import fuzz_seeds as seeds_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from damage import damaged, stamped

TARGETS = {}


class Seeds:
    """Good files, made when one is asked for, and the place of damaged ones."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._made = {}

    def content(self, name):
        """Return the bytes of a good file."""
        if name not in self._made:
            path = self.folder / name
            if not path.exists():
                makers = {
                    "translator.fits": seeds_of.write_translator,
                    "allStar.fits": seeds_of.write_surveys,
                    "galah.fits": seeds_of.write_surveys,
                    "apogee": seeds_of.write_surveys,
                    "arms": seeds_of.write_surveys,
                }
                text = name in seeds_of.TEXTS
                makers.get(name, seeds_of.write_texts if text else seeds_of.write_fits)(
                    self.folder
                )
            self._made[name] = path.read_bytes()
        return self._made[name]

    def spectra(self, pattern):
        """Return the good spectra of a survey."""
        if not any(self.folder.glob(pattern)):
            seeds_of.write_surveys(self.folder)
        return sorted(self.folder.glob(pattern))

    def put(self, name, content):
        """Write a damaged file; return its path."""
        path = self.folder / "damaged" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path


def target(name, file, what, is_text=False, stamp=True):
    """Make a target of a function of a path: it gets the file damaged by the edits."""

    def decorate(use):
        def read(seeds, data):
            if is_text:
                content = data or seeds.content(file)
            else:
                content = damaged(seeds.content(file), data)
                content = stamped(content) if stamp else content
            use(seeds.put(file, content))

        read.is_text, read.name, read.what = is_text, file, what
        TARGETS[name] = read
        return use

    return decorate


@target("model", "model.fits", "model file, inference with it")
def use_model(path):
    model = CannonModel.read(path)
    describe(path)
    n_pixels = len(model.s2)
    if n_pixels <= 10_000:
        flux = np.ones((2, n_pixels), np.float32)
        model.infer(flux, 1e4 * flux, starts=3, threads=1)
        if model.normaliser is not None:
            model.normaliser.apply(flux, flux, threads=1)


@target("spectra", "stars.fits", "spectra file, all its columns")
def use_spectra(path):
    with SpectraFile(path) as spectra:
        use_rows(spectra)
        describe(path)


def use_rows(spectra):
    """Read all that a spectra file offers."""
    _ = spectra.wavelength, spectra.stars, spectra.ids(0, 3)
    for name in ("id", "snr"):
        spectra.column(name, default=0.0)
    for _ in spectra.blocks(7):
        pass


@target("packed", "part-00000.fits", "packed part")
def use_packed(path):
    with PackedSurvey([path]) as packed:
        use_rows(packed)
        packed.rows(["star 1"])
        packed.read(np.arange(min(3, packed.n_stars)))
        _ = packed.parts[0].refused


@target("translator", "translator.fits", "translator, applied")
def use_translator(path):
    translator = Translator.read(path)
    describe(path)
    table = Table({name: np.full(3, 4000.0) for name in translator.inputs})
    for name in translator.trained.inputs.errors:
        if name:
            table[name] = np.full(3, 10.0)
    translator.apply(table, threads=1)
    translator.summary()


@target("table", "galah.fits", "any FITS table (`translate apply`)", stamp=False)
def use_table(path):
    for part in tables.open_table(path):
        tables.read_rows(part, part.names, 0, 2)


target("labels", "labels.fits", "table of labels")(describe)
target("partition", "part.parquet", "catalogue partition (Parquet)", stamp=False)(
    read_partition
)
target("allstar", "allStar.fits", "allStar of APOGEE", stamp=False)(
    apogee.read_catalogue
)
target("allspec", "galah.fits", "catalogue of GALAH, FITS", stamp=False)(
    galah.read_catalogue
)
target("csv", "catalogue.csv", "catalogue of GALAH, CSV", is_text=True)(
    galah.read_catalogue
)
target("config", "config.toml", "configuration", is_text=True)(read_config)
target("members", "members.csv", "members of clusters", is_text=True)(read_members)
target("literature", "literature.csv", "literature on clusters", is_text=True)(
    read_literature
)
target("windows", "windows.csv", "line windows", is_text=True)(read_windows)
target("isochrones", "isochrone.dat", "CMD file", is_text=True)(read_isochrones)


def read_apogee(seeds, data):
    """Read an apStar file with its visits."""
    (good,) = seeds.spectra("a[ps]Star-*.fits")
    path = seeds.put(good.name, damaged(seeds.content(good.name), data))
    found = next(
        surveys.read_groups(apogee, [Group("a", (str(path),))], {"visits": True})
    )
    refuse_surprise(found)


def read_galah(seeds, data):
    """Read four arms, one of them damaged."""
    good = seeds.spectra("1*.fits")
    paths = [str(path) for path in good]
    which = data[0] % 4 if data else 0
    content = damaged(seeds.content(good[which].name), data[1:])
    paths[which] = str(seeds.put(good[which].name, content))
    group = Group(good[0].name[:15], tuple(paths))
    refuse_surprise(next(surveys.read_groups(galah, [group], {})))


def refuse_surprise(found):
    """Raise where a file was refused for a reason that no one thought of."""
    if not isinstance(found, list) and found.reason.startswith("unexpected"):
        raise AssertionError(found.reason)


read_apogee.what = "apStar file with visits"
read_galah.what = "four arms of GALAH, one damaged"
for _name, _read in (("apogee", read_apogee), ("galah", read_galah)):
    _read.is_text, _read.name = False, _name
    TARGETS[_name] = _read
