"""What the page's Bokeh plots share."""

from bokeh.models import Range1d
from bokeh.plotting import figure

from .tables import plain_symbol

GREY = "#7f8b99"  # seen on white and on black


def new_plot(name, tools, height=420):
    """Return an empty plot as wide as its place, with ranges that the page sets.

    Parameters
    ----------
    name : str
        Of the plot, and of its place in the page.
    tools : str
        Bokeh's names; the first is what dragging does.
    height : int
        Pixels.

    Returns
    -------
    bokeh.plotting.figure
    """
    plot = figure(
        name=name,
        tools=tools,
        active_drag=tools.split(",")[0],
        toolbar_location="above",
        height=height,
        sizing_mode="stretch_width",
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_right=8,
    )
    plot.toolbar.logo = None
    return plot


def plain_name(name):
    """Return the symbol of a label without mathematical text: [Fe/H], Teff.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
    """
    text = plain_symbol(name)
    return name if text == name else text.replace("alpha", "\u03b1")
