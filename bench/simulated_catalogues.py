"""Catalogues of two simulated surveys without spectra, and the truth of their stars."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table, hstack

from fastcannon.cuts import apply_cuts
from fastcannon.match import Catalogue, training_table
from fastcannon.simulator import catalogue_files, galaxy, pipelines, scales
from fastcannon.surveys import apogee, galah

LABELS = ("teff", "logg", "fe_h", "alpha_fe", "mg_fe")
SURVEYS = {"apogee": apogee, "galah": galah}


class Simulated(NamedTuple):
    """Two surveys of one Galaxy.

    stars : astropy Table
        Of `galaxy.draw` and `scales.label_scales`, a row per star.
    catalogues : dict of str to astropy Table
        The entries of each survey that pass its cuts, one for each star, as its reader
        gives them; ``star`` is the row in ``stars``.
    common : astropy Table
        The training table of `match.training_table`; ``star`` likewise.
    """

    stars: Table
    catalogues: dict
    common: Table


def make_catalogues(n_stars, overlap, seed, asymmetry=0.0, labels=LABELS):
    """Draw a Galaxy, observe it with both pipelines, match and cut the catalogues.

    Parameters
    ----------
    n_stars, overlap : int
        Of each survey, and in both.
    seed : int
    asymmetry : float
        Of `galaxy.draw`, dex/kpc.
    labels : sequence of str
        That an entry must have to be used.

    Returns
    -------
    Simulated
    """
    streams = [np.random.default_rng([seed, key]) for key in range(3)]
    stars = galaxy.draw(n_stars, overlap, streams[0], asymmetry)
    entries, _ = pipelines.observe_apogee(stars, streams[1])
    spectra = pipelines.observe_galah(stars, streams[2])
    own = {
        "apogee": catalogue_files.all_star(entries),
        "galah": pipelines.galah_allstar(spectra),
    }
    read, used = {}, {}
    for name, module in SURVEYS.items():
        read[name] = as_read(own[name], module)
        good, _ = apply_cuts(read[name], [module.CUTS], module.FLAGS, labels, "cuts")
        used[name] = read[name][good]
    whole = [
        Catalogue(name, read[name], [module.CUTS], module.FLAGS)
        for name, module in SURVEYS.items()
    ]
    common = training_table(*whole, labels=labels).table
    row = {name: i for i, name in enumerate(stars["tmass"])}
    common["star"] = [row[name.removeprefix("2M")] for name in common["star_id"]]
    return Simulated(hstack([stars, scales.label_scales(stars)]), used, common)


def as_read(table, module):
    """A survey's table through its file and its reader, with the rows of the stars."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.fits"
        catalogue_files.write_tables(path, {"": catalogue_files.published(table)})
        found = module.read_catalogue(path)
    found["star"] = np.asarray(table["star"])
    return found
