"""From survey files to normalised spectra: simulating, packing, normalising."""

import os
import tempfile
import time
from pathlib import Path

import fitsio
import numpy as np

from fastcannon import surveys
from fastcannon.differences import LOGG_CUT, difference_lines, difference_table
from fastcannon.kernels import resample_row
from fastcannon.labels import LABELS
from fastcannon.match import Catalogue, training_table
from fastcannon.normalise import Normaliser
from fastcannon.pack import pack
from fastcannon.packed import PackedSurvey
from fastcannon.selftest.speed import interleave, unit_task
from fastcannon.simulator import (
    catalogue_files,
    galaxy,
    pipelines,
    scales,
    simulate,
)
from fastcannon.spectrawriter import write_spectra
from fastcannon.surveys import apogee, galah

from .results import at_least, at_most, only
from .survey import make_survey

STARS = 300  # simulated files that packing is timed on
LINKS = 32_768  # start-up, some 2 s, is shared by many: surveys are larger still


def bench_simulation(threads):
    """Two surveys of 1,000 stars each; the offsets that large catalogues give."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        simulate(Path(folder) / "surveys", 1000, overlap=1000, processes=threads)
        taken = time.perf_counter() - start
        found, pulls = offsets(Path(folder))
    print("\n".join(difference_lines(found)))
    return [
        at_most("simulating 1,000 stars in each of two surveys", taken, 60, "s"),
        only("stars that pass the cuts, of 30,000 common ones", found["n_all"].max()),
        at_most("recovered - injected offset, standard errors, largest", pulls, 3.5),
    ]


def offsets(folder):
    """Recover offsets of 30,000 common stars from catalogues as the surveys write them.

    Returns
    -------
    found : astropy Table
        The differences in the form of the paper's table 1.
    float
        Largest abs(mean of recovered minus injected differences) in standard errors,
        over six labels and all, giants and dwarfs (by catalogue).
    """
    stars = galaxy.draw(30_000, 30_000, np.random.default_rng(1))
    entries, _ = pipelines.observe_apogee(stars, np.random.default_rng(2))
    spectra = pipelines.observe_galah(stars, np.random.default_rng(3))
    catalogue_files.write_tables(
        folder / "allStar.fits", {"": catalogue_files.all_star(entries)}
    )
    catalogue_files.write_tables(
        folder / "allstar_galah.fits", {"": pipelines.galah_allstar(spectra)}
    )
    catalogues = [
        Catalogue(m.NAME, m.read_catalogue(folder / name), [m.CUTS], m.FLAGS)
        for m, name in ((apogee, "allStar.fits"), (galah, "allstar_galah.fits"))
    ]
    table = training_table(*catalogues).table
    found = difference_table(table, ("apogee", "galah"))
    row = {f"2M{name}": i for i, name in enumerate(stars["tmass"])}
    true = scales.label_scales(stars[[row[name] for name in table["star_id"]]])
    giant = table["logg_galah"] < LOGG_CUT
    pulls = []
    for label in LABELS:
        away = table[f"{label}_apogee"] - table[f"{label}_galah"]
        away -= true[f"{label}_apogee_scale"] - true[f"{label}_galah_scale"]
        for group in (away, away[giant], away[~giant]):
            pulls.append(abs(group.mean()) / (group.std() / np.sqrt(len(group))))
    return found, float(np.max(pulls))


def bench_real_files(folder):
    """Every real spectrum at hand: read, or refused with a reason."""
    rows = []
    for name, pattern in (
        ("apogee", "apogee/ap*.fits"),
        ("galah", "galah_dr3/[0-9]*.fits"),
        ("galah", "galah_dr6/[0-9]*.fits"),
    ):
        read = surveys.read(name, sorted(folder.glob(pattern)))
        assert all(refused.reason for refused in read.refused)
        what = f"real files {pattern}"
        rows.append(only(f"{what}: spectra read", len(read)))
        rows.append(only(f"{what}: refused with a reason", len(read.refused)))
    return rows


def bench_packing(threads):
    """Packing against fitsio's bare reading, and in two processes against one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder / "surveys", STARS, overlap=STARS, processes=threads)
        files = {
            name: sorted((folder / "surveys" / name / "spectra").rglob("*.fits"))
            for name in ("apogee", "galah")
        }
        rows = []
        for survey, read in ((apogee, read_apogee), (galah, read_galah)):
            rows += bench_one_survey(survey, read, files[survey.NAME], folder)
        return rows + bench_processes(files["apogee"], folder)


def bench_one_survey(survey, read, files, folder):
    """Packing one survey in one process, per star."""
    groups, _ = survey.groups([str(path) for path in files])
    check_packed(survey, files, folder)
    seconds = interleave(
        {
            "fitsio": lambda: [read(group.paths) for group in groups],
            "pack": lambda: _pack_again(survey.NAME, files, folder),
        },
        rounds=3,
    )
    resampling = resampling_seconds(len(groups)) if survey is galah else 0.0
    name = survey.NAME
    packing = seconds["pack"] - resampling
    rows = [
        only(
            f"{name}: fitsio, same rows and headers",
            _ms(seconds["fitsio"], groups),
            "ms",
        ),
        only(f"{name}: packing in one process", _ms(seconds["pack"], groups), "ms"),
        at_most(f"{name}: packing / fitsio reading", packing / seconds["fitsio"], 1.5),
    ]
    if resampling:
        rows.append(only(f"{name}: of which resampling", _ms(resampling, groups), "ms"))
    return rows


def check_packed(survey, files, folder):
    """The answer before the clock: packed spectra are what the reader gives."""
    read = surveys.read(survey.NAME, files)
    pack(survey.NAME, files, folder / "checked", processes=1)
    with PackedSurvey.open(folder / "checked") as packed:
        flux, ivar = packed.read(packed.rows(read.table["id"]))
    for path in (folder / "checked").iterdir():
        path.unlink()
    if not (np.array_equal(flux, read.flux) and np.array_equal(ivar, read.ivar)):
        raise AssertionError(f"{survey.NAME}: packed spectra differ from those read")


def bench_processes(files, folder):
    """Two processes against one, on links to the files; the best of three rounds.

    A shared host takes away up to half of the time of two busy cores for minutes;
    the best round says most about the program.
    """
    links = make_links(files, folder / "links", LINKS)
    seconds = {1: [], 2: []}
    for _ in range(3):
        for processes, taken in seconds.items():
            out = folder / f"packed-{processes}"
            start = time.perf_counter()
            pack("apogee", links, out, stars_per_part=2048, processes=processes)
            taken.append(time.perf_counter() - start)
            for path in out.iterdir():
                path.unlink()
    gain = min(seconds[1]) / min(seconds[2])
    what = f"packing {LINKS:,} apStar files: gain of 2 processes over 1"
    return [at_least(what, gain, 1.8, "x")]


def make_links(files, folder, count):
    """Make links to files, in folders of telescopes and of fields of their own."""
    links = []
    for i in range(count):
        file = files[i % len(files)]
        field = f"{file.parent.name}-{i // len(files):05d}"
        parent = folder / file.parent.parent.name / field
        parent.mkdir(parents=True, exist_ok=True)
        links.append(parent / file.name)
        os.symlink(file, links[-1])
    return links


def read_apogee(paths):
    """What a reader of apStar files cannot do without, by fitsio."""
    with fitsio.FITS(str(paths[0])) as file:
        header = file[0].read_header()
        return header, [file[hdu][0:1, :] for hdu in (1, 2, 3)]


def read_galah(paths):
    """What a reader of GALAH's arms cannot do without, by fitsio."""
    read = []
    for path in paths:
        with fitsio.FITS(str(path)) as file:
            headers = file[0].read_header(), file[4].read_header()
            read.append((headers, file[1].read(), file[4].read()))
    return read


def resampling_seconds(n_stars):
    """Seconds of resampling the four arms of so many stars."""
    flux, ivar = np.ones(4096, np.float32), np.ones(4096, np.float32)
    work = np.empty((2, 4096), np.float32)
    arms = [(arm, np.empty((2, arm.n_pixels), np.float32)) for arm in galah.ARMS]

    def task():
        for _ in range(n_stars):
            for arm, out in arms:
                resample_row(
                    *(flux, ivar, arm.first - 2.0, arm.step * 1.0003),
                    *(arm.first, arm.step, work, out[0], out[1]),
                )

    return interleave({"it": task}, rounds=3)["it"]


def bench_reading(threads):
    """Reading packed spectra and normalising them against inferring them."""
    survey = make_survey(6, 4096)
    grid = apogee.WAVELENGTH
    pixels = np.zeros(len(grid), bool)
    pixels[::14] = True
    normaliser = Normaliser(grid, pixels, apogee.REGIONS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part-00000.fits"
        ids = {"id": [str(i) for i in range(len(survey.flux))]}
        write_spectra(path, survey.flux, survey.ivar, grid, ids, normalised=False)
        with PackedSurvey([path]) as packed:
            check_read(packed, survey)
            unit, per_unit = unit_task(threads)
            seconds = interleave(
                {
                    "unit": unit,
                    "infer": lambda: survey.model.infer(
                        survey.flux, survey.ivar, threads=threads
                    ),
                    "read": lambda: [len(flux) for _, flux, _ in packed.blocks(1024)],
                    "normalise": lambda: normaliser.apply(
                        survey.flux, survey.ivar, threads
                    ),
                }
            )
    n_spectra = len(survey.flux)
    unit_seconds = seconds["unit"] / per_unit
    units = {name: value / n_spectra / unit_seconds for name, value in seconds.items()}
    return [
        only("reading packed spectra", seconds["read"] / n_spectra * 1e6, "us"),
        at_least(
            "rate of reading packed spectra / rate of inference, 8 starts",
            seconds["infer"] / seconds["read"],
            1.5,
        ),
        at_most("normalising APOGEE spectra", units["normalise"], 1.0, "U"),
    ]


def check_read(packed, survey):
    """The answer before the clock: the file gives back what was written."""
    flux, ivar = packed.read(np.arange(8))
    if not (
        np.array_equal(flux, survey.flux[:8]) and np.array_equal(ivar, survey.ivar[:8])
    ):
        raise AssertionError("packed spectra are not those that were written")


def _pack_again(name, files, folder):
    """Pack into an empty folder."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        pack(name, files, out, processes=1)


def _ms(seconds, groups):
    return seconds / len(groups) * 1e3
