"""Two surveys on one scale, from survey files to labels: ``python -m fastcannon.demo``.

Simulates two surveys of one Galaxy in the files of APOGEE and GALAH, or takes a
folder of real ones, and does with them what ``fastcannon run`` does. Simulated
surveys come with the truth: the labels that a star has on each survey's scale.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table, vstack
from tqdm import tqdm

from . import jobs, run
from .arrays import label_array
from .atomic import atomic_path
from .comparison import METHODS
from .config import Translate, read_config
from .errors import FastcannonError
from .extras import missing
from .fitsfiles import hdu_to_table
from .plots import one_to_one
from .report import write_report
from .runfolder import COMPARISON
from .simulator import simulate
from .subcommands import say
from .textfiles import read_ecsv

CONFIGURATION = "fastcannon.toml"
TRUTH = Path("truth") / "truth.fits"
NETWORKS = 10  # of each translator, as Thomas+2024
MEMBERS, LITERATURE = "members.ecsv", "clusters.ecsv"


def run_demo(folder, data=None, n_stars=1200, overlap=1000):
    """Put two surveys on one scale; simulates them if none are given.

    Parameters
    ----------
    folder : str or Path
        For the simulated surveys; they are made once.
    data : str or Path, optional
        Folder with surveys and their configuration ``fastcannon.toml``.
    n_stars, overlap : int
        Stars to simulate in each survey and in both.
    """
    if data is None:
        data = Path(folder) / "surveys"
        if not (data / CONFIGURATION).exists():
            print(f"Simulating {n_stars:,} stars in each of two surveys ...")
            with _bar(2 * n_stars, "stars") as bar:
                simulate(data, n_stars, overlap, progress=bar.update)
        config = _with_translators(read_config(data / CONFIGURATION))
    else:
        data = Path(data)
        config = read_config(data / CONFIGURATION)
    run.run_all(config, say, _bar)
    if (data / TRUTH).exists():
        _compare_with_truth(config, data / TRUTH)
    print()
    write_report(config.output, **_cluster_files(data))
    if config.translate.networks:
        print(_comparison_line(read_ecsv(config.output / COMPARISON)))


def _with_translators(config):
    """Return a configuration with translators, where they can be trained."""
    if missing("translate"):
        return config
    return replace(config, translate=Translate(NETWORKS, config.translate.seed))


def _comparison_line(table):
    """Return what the Cannon and the translator make of one label, as text."""
    label = "fe_h" if "fe_h" in table["label"] else table["label"][0]
    rows = table[table["label"] == label][-len(METHODS) :]  # of the last case
    found = ", ".join(f"{row['scatter']:.3f} by {row['method']}" for row in rows)
    case, unit = rows["case"][0], rows["unit"][0]
    return f"{COMPARISON}: {case}, scatter of {label} ({unit}): {found}"


def _cluster_files(data):
    """Return what there is on star clusters beside the surveys."""
    members, literature = (data / "clusters" / n for n in (MEMBERS, LITERATURE))
    return {
        "members": members if members.exists() else None,
        "literature": literature if literature.exists() else None,
        "isochrones": sorted((data / "isochrones").glob("*.dat")),
    }


def _compare_with_truth(config, truth):
    """Print and draw inferred labels against the hidden ones of the same scale."""
    names = config.labels.names
    for survey in config.pair():
        for scale in config.pair():
            name = f"{survey.name}-on-{scale.name}"
            found = read_labels(config.output / "labels" / name)
            found = found[found["status"] == 0]
            hidden = true_labels(truth, survey.format, scale.format, names, found["id"])
            labels = label_array(found, names)
            print(f"\n{name}: inferred labels minus the hidden ones of {scale.name}")
            print(*jobs.summary_lines(names, labels - hidden), sep="\n")
            figure = config.output / f"{name}.png"
            with atomic_path(figure) as temporary:
                one_to_one(hidden, labels, names).savefig(temporary, format="png")
            print(f"{figure}: figure")


def read_labels(folder):
    """Return the labels of all parts of a packed survey as one table."""
    tables = [Table.read(path) for path in sorted(folder.glob("part-*.fits"))]
    return vstack(tables, metadata_conflicts="silent")


def true_labels(truth, survey, scale, names, ids):
    """Return the labels that simulated spectra have on a survey's scale.

    Parameters
    ----------
    truth : str or Path
        ``truth.fits`` of a simulation.
    survey, scale : {"apogee", "galah"}
        Whose spectra, whose scale.
    names : sequence of K str
    ids : sequence of S str
        Of the spectra, as packed.

    Returns
    -------
    (S, K) float64 array
    """
    with fits.open(truth) as hdus:
        stars = hdu_to_table(hdus["STARS"])
    hidden = label_array(stars, [f"{name}_{scale}_scale" for name in names])
    return hidden[truth_stars(truth, survey, ids)]


def truth_stars(truth, survey, ids):
    """Return the row of STARS in the truth of each simulated spectrum, (S,) int array.

    Parameters
    ----------
    truth : str or Path
    survey : {"apogee", "galah"}
    ids : sequence of S str
        Of the spectra, as packed.
    """
    with fits.open(truth) as hdus:
        if survey == "galah":
            spectra = hdu_to_table(hdus["SPECTRA"])
            own = spectra["sobject_id"].astype(str)
        else:
            spectra = hdu_to_table(hdus["ENTRIES"])
            parts = ("TELESCOPE", "FIELD", "APOGEE_ID")
            own = [".".join(row) for row in spectra[parts].iterrows()]
    star_of = dict(zip(own, spectra["star"], strict=True))
    # Visits have the id of the combined spectrum and a number.
    return np.array([star_of[str(name).partition(".v")[0]] for name in ids])


def _bar(total, unit):
    """Return a progress bar on stderr, silent where stderr is a file."""
    return tqdm(total=total, unit=f" {unit}", unit_scale=True, disable=None)


def main(argv=None):
    """Run the demonstration from the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m fastcannon.demo")
    parser.add_argument("--out", default="demo", help="folder for simulated surveys")
    parser.add_argument("--data", help="folder of surveys with a fastcannon.toml")
    arguments = parser.parse_args(argv)
    try:
        run_demo(arguments.out, arguments.data)
    except (FastcannonError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; started again, it goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
