"""The section on the Galaxy (Nandakumar+2022, fig. 15; Thomas+2024)."""

import numpy as np

from ..catalogue import catalogue_name, clean
from ..figures.galaxy import galaxy_figure, maps_figure, positions
from .page import Section
from .tables import plain_symbol

MAPPED = ("fe_h", "mg_fe", "alpha_fe")


def galaxy_section(book):
    """Return the section of places and maps of abundances."""
    section = Section(
        "In the Galaxy",
        "galaxy",
        "Where the clean stars of both surveys are, and the median of their abundances "
        "there. The two surveys see different halves of the sky: on one scale, a "
        "difference between north and south of the plane is the Galaxy's, not theirs.",
        figures=[],
        notes=[],
    )
    places, rows = {}, {}
    for scale, columns in book.catalogues.items():
        good = np.asarray(clean(columns))
        distance = np.asarray(columns["r_est"][good], dtype=float)
        if np.isfinite(distance).any():
            places[scale] = positions(
                columns["ra"][good], columns["dec"][good], distance
            )
            rows[scale] = good
    if not places:
        section.notes.append(
            "The catalogues have no distances of clean stars: name a table with r_est "
            "as gaia.table in the configuration."
            if book.catalogues
            else "There is no catalogue yet."
        )
        return section
    section.figures.append(
        book.figure(
            "galaxy",
            "Height above the plane against the distance from the axis of the Galaxy, "
            "clean stars of both surveys. White: the Sun.",
            "Densities of stars that are highest about the Sun.",
            galaxy_figure,
            places,
        )
    )
    for name in (name for name in MAPPED if name in book.run.names):
        column = f"{catalogue_name(name)}Cann"
        values = {
            scale: np.asarray(book.catalogues[scale][column][good], dtype=float)
            for scale, good in rows.items()
        }
        section.figures.append(
            book.figure(
                f"galaxy-{name}",
                f"Left: median {plain_symbol(name)} over the Galaxy, on each scale. "
                "Right: median north of the plane minus that south of it; marked where "
                "it is more than three of its standard errors.",
                "Maps of the median, higher in the plane than above it, and of the "
                "difference between north and south.",
                maps_figure,
                places,
                values,
                name,
            )
        )
    return section
