"""Two simulated surveys of one Galaxy, with all their files, in one call."""

import shutil
from pathlib import Path

import numpy as np
from astropy.table import hstack

from ..errors import InputError, check_whole
from ..parallel import thread_count
from ..scheduler import open_workers
from . import (
    apogee_files,
    catalogue_files,
    clusters,
    gaia,
    galah_files,
    galah_spectra,
    galaxy,
    isochrones,
    pipelines,
    scales,
)
from .instruments import apogee_flux, galah_flux

UNFINISHED = ".unfinished"  # folder of what is not whole yet
BLOCK = 25  # stars whose models are computed together
LABELS = ("teff", "logg", "fe_h", "alpha_fe", "mg_fe", "vmicro", "vbroad")
ENTRY_COLUMNS = (
    *("star", "APOGEE_ID", "TELESCOPE", "FIELD", "FILE", "RA", "DEC"),
    *("J", "H", "K", "VHELIO_AVG", "VSCATTER", "VERR"),
)
VISIT_COLUMNS = (
    *("entry", "jd", "snr", "vhelio", "bc", "fiber", "flag"),
    *("bad_fibre", "persistence"),
)
SPECTRUM_COLUMNS = (
    *("star", "sobject_id", "ra", "dec", "missing_arm", "bad_fibre"),
    *(f"snr_c{arm}_iraf" for arm in range(1, 5)),
)
# Streams of random numbers: one for each table, one for each spectrum.
GALAXY, APOGEE, GALAH, GAIA, APOGEE_SPECTRA, GALAH_SPECTRA = range(6)


def simulate(folder, n_stars, overlap=None, seed=0, processes=None, progress=None):
    """Write two complete surveys in the layouts of APOGEE DR16 and GALAH DR3.

    Parameters
    ----------
    folder : str or Path
        Made if absent; must be empty, or hold what a stopped simulation left.
    n_stars : int
        Of each survey.
    overlap : int, optional
        Stars in both; default: default_overlap.
    seed : int
        The same numbers give the same bytes, whatever ``processes`` is.
    processes : int, optional
        Default: one for each core.
    progress : callable, optional
        Called with the number of stars done; twice n_stars in all.

    Returns
    -------
    dict of str to int
        How many stars, entries, visits, spectra and files of spectra there are.

    Raises
    ------
    InputError
        The folder is not empty, or a number is out of its range.
    WriteError
        A process was ended from outside.
    """
    folder = Path(folder)
    n_stars = check_whole(n_stars, "n_stars")
    seed = check_whole(seed, "seed", 0)
    overlap = default_overlap(n_stars) if overlap is None else overlap
    processes = thread_count(processes)
    whole, folder = folder, folder / UNFINISHED
    if whole.is_dir() and [*whole.iterdir()] == [folder]:
        shutil.rmtree(folder)  # of a simulation that was stopped
    if whole.exists() and (not whole.is_dir() or any(whole.iterdir())):
        raise InputError(
            f"{whole} is there already and not an empty folder; surveys are "
            "simulated into a new one: remove it or give another"
        )
    stars = galaxy.draw(n_stars, overlap, stream(seed, GALAXY))
    entries, visits = pipelines.observe_apogee(stars, stream(seed, APOGEE))
    entries = catalogue_files.all_star(entries)
    spectra = pipelines.observe_galah(stars, stream(seed, GALAH))
    _write_tables(folder, stars, entries, visits, spectra, seed)
    jobs = [
        *_apogee_jobs(folder, stars, entries, visits, seed),
        *_galah_jobs(folder, stars, spectra, seed),
    ]
    files = _run(jobs, processes, progress or (lambda count: None))
    for path in list(folder.iterdir()):
        path.rename(whole / path.name)
    folder.rmdir()
    # Last: where there is a configuration, the surveys are whole.
    configuration = catalogue_files.configuration()
    catalogue_files.write_text(whole / catalogue_files.CONFIGURATION, configuration)
    return {
        "stars": len(stars),
        "entries": len(entries),
        "visits": len(visits),
        "spectra": len(spectra),
        "files": files,
    }


def default_overlap(n_stars):
    """Return how many stars both surveys have: a tenth, or up to 600 if more."""
    return max(n_stars // 10, min(n_stars, 600))


def stream(seed, *key):
    """Return the random numbers of a table or spectrum, independent of all others."""
    return np.random.default_rng([seed, *key])


def _write_tables(folder, stars, entries, visits, spectra, seed):
    """Write every table, and the isochrones."""
    names, published = catalogue_files, catalogue_files.published
    write = catalogue_files.write_tables
    write(folder / names.ALL_STAR, {"": published(entries)})
    write(folder / names.GALAH_ALL, {"": published(spectra)})
    galah_stars = pipelines.galah_allstar(spectra)
    write(folder / names.GALAH_STARS, {"": published(galah_stars)})
    write(folder / names.GAIA, {"": gaia.table(stars, stream(seed, GAIA))})
    known = hstack([stars, scales.label_scales(stars)])
    truth = catalogue_files.truth_tables(known, entries, visits, spectra)
    write(folder / names.TRUTH, truth)
    known_clusters = clusters.table()
    catalogue_files.write_text_table(folder / names.CLUSTERS, known_clusters)
    members = clusters.members(stars, stream(seed, GAIA, 1))
    catalogue_files.write_text_table(folder / names.MEMBERS, members)
    text = isochrones.cmd_text(known_clusters["age"], known_clusters["fe_h"])
    catalogue_files.write_text(folder / names.ISOCHRONES, text)


def _apogee_jobs(folder, stars, entries, visits, seed):
    """Return (task, arguments, stars) for blocks of APOGEE's stars."""
    rows = catalogue_files.rows_of(entries, ENTRY_COLUMNS)
    for row in rows:
        row["visits"] = []
    for visit in catalogue_files.rows_of(visits, VISIT_COLUMNS):
        rows[visit["entry"]]["visits"].append(visit)
    parent = folder / catalogue_files.APOGEE_SPECTRA
    return [(write_apogee, (parent, seed, *b)) for b in _blocks(stars, rows)]


def _galah_jobs(folder, stars, spectra, seed):
    """Return (task, arguments, stars) for blocks of GALAH's stars."""
    rows = catalogue_files.rows_of(spectra, SPECTRUM_COLUMNS)
    # The pipeline moves spectra to rest by the velocity that it found, if any.
    true = np.asarray(stars["rv"])[spectra["star"]]
    found = np.ma.filled(spectra["rv_galah"], np.nan)
    found = np.where(np.isfinite(found), found, true)
    for row, *velocities in zip(rows, true.tolist(), found.tolist(), strict=True):
        row["rv"], row["rv_galah"] = velocities
    parent = folder / catalogue_files.GALAH_SPECTRA
    return [(write_galah, (parent, seed, *b)) for b in _blocks(stars, rows)]


def _blocks(stars, rows):
    """Cut the rows of a survey's table into blocks that hold whole stars.

    Returns a list of (labels, numbered): a dict of arrays (S,) of the labels of S
    stars, and a list of (star among these, number of the row, row).
    """
    of_star = {}
    for number, row in enumerate(rows):
        of_star.setdefault(row["star"], []).append((number, row))
    order = sorted(of_star)
    blocks = []
    for start in range(0, len(order), BLOCK):
        chosen = order[start : start + BLOCK]
        labels = {name: np.asarray(stars[name][chosen], float) for name in LABELS}
        numbered = [(i, *row) for i, star in enumerate(chosen) for row in of_star[star]]
        blocks.append((labels, numbered))
    return blocks


def _run(jobs, processes, advance):
    """Run the tasks (function, arguments) and return the sum of what they return."""
    with open_workers(processes) as run:
        return sum(run(_do, jobs, lambda job: advance(_n_stars(job))))


def _do(job):
    function, arguments = job
    return function(*arguments)


def _n_stars(job):
    """Return how many stars a task is about."""
    return len(job[1][2]["teff"])


def write_apogee(folder, seed, labels, numbered):
    """Write the apStar and asStar files of some stars.

    Parameters
    ----------
    folder : Path
        APOGEE's folder of spectra.
    seed : int
    labels : dict of (S,) arrays
        Of S stars, see LABELS.
    numbered : list of (int, int, dict)
        Star (0 to S - 1), row in allStar, and that row with its visits.

    Returns
    -------
    int, the number of files
    """
    flux = apogee_flux(labels)
    for star, number, entry in numbered:
        path = apogee_files.star_path(folder, entry)
        rng = stream(seed, APOGEE_SPECTRA, number)
        apogee_files.write_star(path, flux[star], entry, entry["visits"], rng)
    return len(numbered)


def write_galah(folder, seed, labels, numbered):
    """Write the files of GALAH's spectra of some stars.

    Parameters
    ----------
    folder, seed, labels, numbered
        As for write_apogee; the rows are those of allspec.

    Returns
    -------
    int, the number of files
    """
    arms = galah_flux(labels)
    files = 0
    for star, number, row in numbered:
        rng = stream(seed, GALAH_SPECTRA, number)
        observed = galah_spectra.observe([arm[star] for arm in arms], row, rng)
        galah_files.write_spectrum(folder, row, observed, rng)
        files += len(observed)
    return files
