"""The views of the page that can be poked: the catalogue's stars, and spectra.

Bokeh draws; what is chosen in the page's own selects is set by its script. The
catalogue is reduced to images of counts of all stars and a sample of them as points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bokeh.document import Document

from .samples import ViewerStar
from .spectrumview import spectrum_plots, spectrum_view
from .starview import star_plots, star_view


@dataclass
class Interactive:
    """What the page's script needs for its views; plain values, ready for JSON.

    Attributes
    ----------
    document : dict
        Bokeh's plots.
    roots : dict of place in the page to id of a plot
    catalogue : dict
        Scales, labels, ranges and words of the catalogue's view; empty: no view.
    spectra : dict
        Spectra of the viewer; empty: no view.
    """

    document: Any = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)
    catalogue: dict[str, Any] = field(default_factory=dict)
    spectra: dict[str, Any] = field(default_factory=dict)


def interactive(
    catalogues: Mapping[str, Mapping[str, np.ndarray]],
    names: Sequence[str],
    surveys: Sequence[str],
    stars: Sequence[ViewerStar] = (),
    windows: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Interactive:
    """Make the views of the catalogues and of spectra.

    Parameters
    ----------
    catalogues : dict of scale to dict of column to (N,) array
        `starview.catalogue_columns` and ``survey``, as of `RunData.catalogue`;
        label units. Empty: no view of them.
    names : sequence of str
        Labels.
    surveys : (str, str)
    stars : sequence of ViewerStar
        Empty: no view of spectra.
    windows : dict of survey to dict of element to (n, 2) array, Angstrom, optional
        As of `fastcannon.figures.arms.element_spans`.
    seed : int
        Of the sample.

    Returns
    -------
    Interactive
    """
    plots, made = [], Interactive()
    if any(len(columns["survey"]) for columns in catalogues.values()):
        view = star_view(catalogues, names, surveys, seed)
        plots += star_plots(view)
        own = ("stars", "images")  # these are in the plots
        made.catalogue = {key: one for key, one in view.items() if key not in own}
    if stars:
        made.spectra = spectrum_view(stars, windows or {})
        plots += spectrum_plots()
    document = Document()
    for plot in plots:
        document.add_root(plot)
    made.document = document.to_json(deferred=False)
    made.roots = {plot.name: plot.id for plot in plots}
    return made
