"""The section on star clusters (Nandakumar+2022, section 4.1)."""

from ..catalogue import APOGEE, GALAH
from ..cluster_files import read_literature, read_members
from ..cluster_tables import (
    cluster_isochrones,
    cluster_table,
    isochrone_table,
    trend_table,
)
from ..clusters import cluster_stars, ordered
from ..errors import FastcannonError
from ..figures.clusters import cluster_abundance_figure, cluster_kiel_figure, pages
from ..isochrones import read_isochrones
from .forms import cluster_forms, distance_form, trend_form
from .page import Section
from .tables import plain_symbol

ABUNDANCES = ("fe_h", "alpha_fe")
AGAINST = ("teff", "logg")


def cluster_section(book, members=None, literature=None, isochrones=()):
    """Return the section on clusters and the table of their labels.

    Parameters
    ----------
    book : Book
    members, literature : str or Path, optional
        See `cluster_files`.
    isochrones : sequence of str or Path
        See `isochrones.read_isochrones`.

    Returns
    -------
    section : Section
    table : astropy Table or None
        Of `cluster_tables.cluster_table`.
    """
    section = Section(
        "Star clusters",
        "clusters",
        "The stars of a cluster were born together: one metallicity, whatever the "
        "temperature, and one line in the Kiel diagram.\n\n"
        "Members with a probability above one half, clean on both scales.",
        figures=[],
        tables=[],
        notes=[],
    )
    if members is None:
        section.notes.append(
            "No table of members was given: fastcannon report RUN --members TABLE."
        )
        return section, None
    if not book.catalogues:
        section.notes.append("There is no catalogue yet.")
        return section, None
    try:
        known = None if literature is None else read_literature(literature)
        stars = _members(book, members)
    except (FastcannonError, OSError) as error:
        section.notes.append(str(error))
        return section, None
    if not len(stars):
        section.notes.append(f"{members}: no member of a cluster is in the catalogue.")
        return section, None
    lines = _isochrones(section, isochrones, stars, known)
    _add_figures(book, section, stars, known, lines)
    labels = [name for name in ABUNDANCES if name in book.run.names]
    table = cluster_table(stars, labels, known)
    section.tables += [book.table(form) for form in cluster_forms(table)]
    trends = trend_table(stars, labels, known)
    if len(trends):
        section.tables.append(book.table(trend_form(trends)))
    if lines:
        distances = isochrone_table(stars, lines)
        if len(distances):
            section.tables.append(book.table(distance_form(distances)))
    return section, table


def _members(book, path):
    """Return the clean members of clusters with their labels on all scales."""
    run = book.run
    numbers = {
        survey: _flag_id(book, number) for number, survey in enumerate(run.surveys)
    }
    names = [name for name in (*AGAINST, *ABUNDANCES) if name in run.names]
    return cluster_stars(book.catalogues, read_members(path), numbers, names)


def _flag_id(book, number):
    """Return the flag_id of a survey in the catalogues."""
    columns = next(iter(book.catalogues.values()))
    found = columns["flag_id"][columns["survey"] == number]
    known = {"galah": GALAH, "apogee": APOGEE}
    form = book.run.formats.get(book.run.surveys[number])
    return int(found[0]) if len(found) else known.get(form, -1 - number)


def _isochrones(section, paths, stars, known):
    """Return the isochrone of each cluster, or None for a reason that is noted."""
    if not paths:
        section.notes.append(
            "No isochrones were given: fastcannon report RUN --isochrones FILE."
        )
        return None
    lines = []
    for path in paths:
        try:
            lines += read_isochrones(path)
        except (FastcannonError, OSError) as error:
            section.notes.append(str(error))
    found = cluster_isochrones(stars, lines, known)
    section.notes += [
        f"{cluster}: {why}" for cluster, (one, why) in found.items() if not one
    ]
    return found


def _add_figures(book, section, stars, known, lines):
    """Add Kiel diagrams (figs 10 and 11), and abundances (figs 12 to 14)."""
    names = stars.meta["names"]
    for number, clusters in enumerate(pages(ordered(stars, known))):
        said = ", ".join(clusters)
        if set(AGAINST) <= set(names):
            metallicity = "fe_h" if "fe_h" in names else None
            section.figures.append(
                book.figure(
                    f"clusters-kiel-{number + 1}",
                    f"Kiel diagrams of {said}: the pipelines' labels, then each scale. "
                    "Colour: [Fe/H] minus the cluster's median; lines: isochrones.",
                    "A column for each cluster, a row for each source of labels; stars "
                    "lie along the isochrones.",
                    cluster_kiel_figure,
                    stars,
                    clusters,
                    lines,
                    metallicity,
                )
            )
        for y in (name for name in ABUNDANCES if name in names):
            for x in (name for name in AGAINST if name in names):
                section.figures.append(
                    book.figure(
                        f"clusters-{y}-{x}-{number + 1}",
                        f"{plain_symbol(y)} against {plain_symbol(x)} in {said}. "
                        "Dashed: median of each survey. A cluster should be flat, and "
                        "both surveys on one line.",
                        "A column for each cluster, a row for each source of labels; "
                        "points scatter about the dashed medians.",
                        cluster_abundance_figure,
                        stars,
                        clusters,
                        y,
                        x,
                    )
                )
