"""Packages that only some of the work needs, and the extras that install them."""

from contextlib import contextmanager
from importlib.util import find_spec
from typing import NamedTuple

from .errors import InputError


class Extra(NamedTuple):
    """What an extra is for.

    Attributes
    ----------
    modules : tuple of str
    purpose : str
        As the subject of a sentence.
    """

    modules: tuple[str, ...]
    purpose: str


EXTRAS = {
    "cluster": Extra(("distributed",), "work on a Dask cluster"),
    "plot": Extra(("matplotlib",), "drawing a figure"),
    "report": Extra(("bokeh", "jinja2", "matplotlib", "PIL"), "the report of a run"),
    "translate": Extra(("equinox", "jax", "optax"), "training a translator"),
}


def missing(extra):
    """Return the modules of an extra that are not installed, in order."""
    return [name for name in EXTRAS[extra].modules if find_spec(name) is None]


@contextmanager
def needing(extra):
    """Say which extra to install where one of its modules cannot be imported.

    Any other import that fails is a fault of ours, and stays what it is.

    Parameters
    ----------
    extra : str
        A key of EXTRAS.

    Raises
    ------
    InputError
    """
    try:
        yield
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS[extra].modules:
            raise
        raise InputError(
            f"{EXTRAS[extra].purpose} needs {module} ({error}): "
            f"install fastcannon[{extra}]"
        ) from error
