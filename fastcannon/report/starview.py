"""The page's view of the catalogues: all stars as counts, a sample as points."""

from typing import Any

import numpy as np
from bokeh.models import (
    BoxSelectTool,
    CDSView,
    ColumnDataSource,
    GroupFilter,
    HoverTool,
    LinearColorMapper,
)

from .. import labels
from ..catalogue import MUST_BE_ZERO, SURVEY_BITS, catalogue_name
from ..figures.style import COLOURS, limits
from .plotparts import GREY, new_plot, plain_name
from .samples import id_text, set_flags

MOST_STARS = 5000  # of the sample
_OF_EACH_FLAG = 100
_BINS = 200  # of the images of counts, each way
_FLAGS = (*MUST_BE_ZERO, *SURVEY_BITS, "flag_fastcannon")


def catalogue_columns(names):
    """Return the columns of a catalogue that the view reads.

    Parameters
    ----------
    names : sequence of str
        Labels.

    Returns
    -------
    list of str
    """
    own = [catalogue_name(name) for name in names]
    values = [
        f"{e}{name}{end}" for name in own for e in ("", "e_") for end in ("Cann", "")
    ]
    return ["survey_id", *values, "r_chi_sq", "snr", "Cannon_distance", *_FLAGS]


def sample(columns, seed=0):
    """Return rows of a catalogue, at most 5,000, with stars of each kind of flag.

    Parameters
    ----------
    columns : dict of str to (N,) array
        All flags of a catalogue.
    seed : int

    Returns
    -------
    (M,) int array
        Increasing: up to 100 stars of each flag and bit of flag_fastcannon, of each
        survey; the others at random.
    """
    survey = np.asarray(columns["survey"])
    if len(survey) <= MOST_STARS:
        return np.arange(len(survey))
    order = np.random.default_rng(seed).permutation(len(survey))
    kinds = [np.asarray(columns[name]) != 0 for name in _FLAGS[:-1]]
    ours = np.asarray(columns["flag_fastcannon"])
    kinds += [(ours & 1 << bit) != 0 for bit in range(int(ours.max()).bit_length())]
    first = [
        order[(kind & (survey == number))[order]][:_OF_EACH_FLAG]
        for kind in kinds
        for number in (0, 1)
    ]
    chosen = np.unique(np.concatenate(first))[:MOST_STARS]
    others = order[~np.isin(order, chosen)][: MOST_STARS - len(chosen)]
    return np.sort(np.concatenate([chosen, others]))


def star_view(catalogues, names, surveys, seed):
    """Return the sample's columns, the images of counts and the ranges of axes.

    Parameters
    ----------
    catalogues : dict of scale to dict of column to (N,) array
        See `interactive`.
    names : sequence of str
        Labels.
    surveys : (str, str)
    seed : int

    Returns
    -------
    dict
        Of plain values, but for ``stars`` and ``images``: columns of arrays.
    """
    first = next(iter(catalogues.values()))
    rows = sample(first, seed)
    stars = {
        "id": [id_text(one) for one in np.asarray(first["survey_id"])[rows]],
        "survey": [surveys[number] for number in np.asarray(first["survey"])[rows]],
        "snr": _floats(first["snr"], rows),
    }
    for name in names:
        own = catalogue_name(name)
        stars[f"{name}_given"] = _floats(first[own], rows)
        stars[f"e_{name}_given"] = _floats(first[f"e_{own}"], rows)
    images, ranges, words = {}, {}, {}
    axes = _kiel_axes(names)
    for scale, columns in catalogues.items():
        found = rows if columns is first else _same_stars(first, columns, rows)
        for column, source in _scale_columns(names).items():
            stars[f"{column}_on_{scale}"] = _floats(columns[source], found)
        words[scale] = _flag_words(columns, found)
        ranges[scale], pictures = _pictures(columns, names, axes)
        images |= {f"{key}_on_{scale}": [one] for key, one in pictures.items()}
    return {
        "stars": stars,
        "images": images,
        "ranges": ranges,
        "flags": words,
        "axes": axes,
        "scales": list(catalogues),
        "surveys": list(surveys),
        "names": list(names),
        "words": {name: plain_name(name) for name in [*names, *axes]},
        "units": {name: labels.unit(name) for name in [*names, *axes]},
        "n_stars": len(first["survey"]),
        "n_shown": len(rows),
    }


def _scale_columns(names):
    """Return {name here: column of the catalogue} of what a scale has of its own."""
    found = {"r_chi_sq": "r_chi_sq", "Cannon_distance": "Cannon_distance"}
    for name in names:
        own = f"{catalogue_name(name)}Cann"
        found |= {name: own, f"e_{name}": f"e_{own}"}
    return found


def _kiel_axes(names):
    """Return what the Kiel diagram has on x and y: Teff and log g, or what there is."""
    if {"teff", "logg"} <= set(names):
        return ["teff", "logg"]
    return [*names, "r_chi_sq"][:2]


def _same_stars(first, second, rows):
    """Return the rows of a catalogue that hold stars of another; -1: none."""
    found = np.full(len(rows), -1)
    for number in (0, 1):
        there = np.flatnonzero(np.asarray(second["survey"]) == number)
        mine = np.flatnonzero(np.asarray(first["survey"])[rows] == number)
        if not len(there):
            continue
        ids = np.asarray(second["survey_id"])[there]
        order = np.argsort(ids, kind="stable")
        wanted = np.asarray(first["survey_id"])[rows[mine]]
        place = np.searchsorted(ids, wanted, sorter=order).clip(max=len(ids) - 1)
        same = ids[order[place]] == wanted
        found[mine[same]] = there[order[place[same]]]
    return found


def _floats(values, rows):
    """Return values of rows as float32, NaN for row -1."""
    values = np.append(np.asarray(values, dtype=np.float32), np.float32(np.nan))
    return values[rows]


def _flag_words(columns, rows):
    """Return the flags of stars as words: the different texts, and which is whose."""
    texts = [
        "not in this catalogue"
        if row < 0
        else ", ".join(set_flags(columns, row)) or "none"
        for row in rows
    ]
    known = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return {"texts": list(known), "which": [known[text] for text in texts]}


def _pictures(columns, names, axes):
    """Return the ranges of axes and the images of counts of all stars of a scale."""
    source = _scale_columns(names)
    first, second = (np.asarray(columns[source[name]]) for name in axes)
    ranges: dict[str, Any] = {name: _range(name, columns, source) for name in names}
    ranges["kiel"] = [limits(axes[0], first), limits(axes[1], second)]
    pictures = {"kiel": _counts(first, second, ranges["kiel"])}
    for name in names:
        own = columns[catalogue_name(name)], columns[source[name]]
        pictures[name] = _counts(*own, [ranges[name]] * 2)
    return ranges, pictures


def _range(name, columns, source):
    """Return the range of a label: that of the survey's values, or of ours."""
    given = np.asarray(columns[catalogue_name(name)])
    return limits(name, given if np.isfinite(given).any() else columns[source[name]])


def _counts(x, y, ranges):
    """Return numbers of stars in bins on a log scale of 0 (none) to 255, uint8."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    good = np.isfinite(x) & np.isfinite(y)
    counts, *_ = np.histogram2d(x[good], y[good], bins=_BINS, range=ranges)
    height = np.log1p(counts.T)
    return np.ceil(255 * height / max(height.max(), 1)).astype(np.uint8)


def star_plots(view):
    """Return the Kiel diagram and the one-to-one plot, with one selection.

    Parameters
    ----------
    view : dict
        Of `star_view`.

    Returns
    -------
    list of bokeh.plotting.figure
    """
    stars = ColumnDataSource(view["stars"], name="stars")
    images = ColumnDataSource(view["images"], name="images")
    kiel = new_plot("kiel", "box_select,lasso_select,tap,pan,wheel_zoom,box_zoom,reset")
    one = new_plot("one-to-one", "box_select,lasso_select,tap,pan,wheel_zoom,reset")
    one.line([-1e6, 1e6], [-1e6, 1e6], color=GREY, line_dash="dashed", name="line")
    scale, name = view["scales"][0], view["names"][0]
    first, second = view["axes"]
    fields = {
        "kiel": ("kiel", f"{first}_on_{scale}", f"{second}_on_{scale}"),
        "one-to-one": (name, f"{name}_given", f"{name}_on_{scale}"),
    }
    for plot in (kiel, one):
        _add_stars(*(plot, stars, images, view["surveys"], scale), *fields[plot.name])
    return [kiel, one]


def _add_stars(plot, stars, images, surveys, scale, key, x, y):
    """Draw the image of counts, and the sample as points of each survey."""
    shades = [f"{GREY}{40 + 200 * i // 255:02x}" for i in range(256)]
    mapper = LinearColorMapper(shades, low=1, high=255, low_color="#00000000")
    plot.image(
        *(f"{key}_on_{scale}", 0, 0, 1, 1),
        source=images,
        color_mapper=mapper,
        name="counts",
        level="image",
    )
    for survey, colour, marker in zip(
        surveys, COLOURS, ("circle", "triangle"), strict=False
    ):
        plot.scatter(
            *(x, y),
            source=stars,
            view=CDSView(filter=GroupFilter(column_name="survey", group=survey)),
            marker=marker,
            color=colour,
            line_color=None,
            size=4,
            fill_alpha=0.4,
            selection_fill_alpha=0.95,
            nonselection_fill_alpha=0.06,
            legend_label=survey,
            name=survey,
        )
    plot.legend.click_policy = "hide"
    plot.legend.orientation, plot.legend.location = "horizontal", "left"
    plot.add_layout(plot.legend[0], "below")
    points = [plot.select_one({"name": survey}) for survey in surveys]
    plot.add_tools(HoverTool(renderers=points, tooltips=[("id", "@id")]))
    # Only what is seen when the button is released: quicker with many stars.
    plot.select_one(BoxSelectTool).continuous = False
