"""The page's view of spectra: observed, model, what is left, and element windows."""

import base64

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, VStrip

from .. import labels
from ..figures.arms import arms
from ..figures.style import COLOURS
from .plotparts import GREY, new_plot, plain_name

_STEP, _LOWEST, _NONE = 1e-4, -1.0, 65535  # flux as 16-bit numbers


def spectrum_view(stars, windows):
    """Return the spectra of the viewer as base64 text, and what is said of them.

    Parameters
    ----------
    stars : sequence of ViewerStar
    windows : dict of survey to dict of element to (n, 2) array, Angstrom

    Returns
    -------
    dict
        Of plain values.
    """
    surveys = {
        name: _survey([star for star in stars if star.survey == name], windows)
        for name in dict.fromkeys(star.survey for star in stars)
    }
    return {
        "surveys": surveys,
        "step": _STEP,
        "lowest": _LOWEST,
        "stars": [_star(star) for star in stars],
        "words": {name: plain_name(name) for s in stars for name in s.labels},
        "units": {name: labels.unit(name) for s in stars for name in s.labels},
    }


def _survey(stars, windows):
    """Return what all spectra of a survey have in common."""
    wavelength = np.asarray(stars[0].wavelength, dtype=float)
    used = np.isfinite([star.observed for star in stars]).any(axis=0)
    found = [wavelength[arm][[0, -1]].tolist() for arm in arms(wavelength, used)]
    return {
        "wavelength": _base64(wavelength.astype("<f4")),
        "arms": found or [wavelength[[0, -1]].tolist()],
        "windows": [
            [element, float(start), float(end)]
            for element, spans in windows.get(stars[0].survey, {}).items()
            for start, end in spans
        ],
    }


def _star(star):
    """Return what the viewer shows of a star."""
    known = {name: v if np.isfinite(v) else None for name, v in star.labels.items()}
    return {
        "title": star.title,
        "survey": star.survey,
        "worst": bool(star.worst),
        "labels": known,
        "r_chi2": star.r_chi2 if np.isfinite(star.r_chi2) else None,
        "flags": ", ".join(star.flags) or "none",
        "observed": _base64(_short(star.observed)),
        "model": _base64(_short(star.model)),
    }


def _short(flux):
    """Return flux in steps of 1e-4 from -1 to 5.55 as uint16; no flux is 65535.

    Spectra take half the space of float32 so, and lose nothing: they come rounded.
    """
    flux = np.asarray(flux, dtype=float)
    good = np.isfinite(flux)
    steps = np.round((np.where(good, flux, 0) - _LOWEST) / _STEP)
    return np.where(good, steps.clip(0, _NONE - 1), _NONE).astype("<u2")


def _base64(values):
    return base64.b64encode(values.tobytes()).decode("ascii")


def spectrum_plots():
    """Return the plots of flux and residual, with one range of wavelength.

    They are empty: the page's script fills in the star that is chosen.

    Returns
    -------
    list of bokeh.plotting.figure
    """
    empty: dict[str, list] = {"wavelength": [], "observed": [], "model": []}
    source = ColumnDataSource(empty | {"residual": []}, name="spectrum")
    windows = ColumnDataSource({"x0": [], "x1": [], "element": []}, name="windows")
    tools = "xbox_zoom,xpan,xwheel_zoom,box_zoom,reset"
    flux, rest = new_plot("flux", tools, 320), new_plot("residual", tools, 190)
    rest.x_range, rest.toolbar_location = flux.x_range, None
    strips = VStrip(x0="x0", x1="x1", fill_alpha=0.18, line_color=None)
    strips.fill_color = COLOURS[3]
    for plot in (flux, rest):
        shown = plot.add_glyph(windows, strips, level="underlay")
        plot.add_tools(HoverTool(renderers=[shown], tooltips=[("window", "@element")]))
    flux.line("wavelength", "model", source=source, name="model", line_width=2.5)
    flux.line("wavelength", "observed", source=source, name="observed", line_width=0.9)
    rest.line("wavelength", "residual", source=source, name="residual", line_width=1)
    rest.line([0, 1e6], [0, 0], color=GREY, line_dash="dashed", name="line")
    flux.yaxis.axis_label = "normalised flux"
    rest.yaxis.axis_label = "observed \u2212 model"
    rest.xaxis.axis_label = "wavelength (\u00c5)"
    for plot in (flux, rest):
        plot.min_border_left = 80  # so that the two stand exactly one below the other
    return [flux, rest]
