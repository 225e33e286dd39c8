"""The report of a run: figures, tables and one page."""

from ..errors import InputError

# Packages of fastcannon[report].
_NEEDED = ("bokeh", "jinja2", "markupsafe", "matplotlib", "PIL")


def write_report(
    folder, members=None, literature=None, isochrones=(), synthetic=None, say=print
):
    """Write figures, tables and the page of a run; see `build.write_report`.

    Raises
    ------
    InputError
        Also where the packages that it needs are not installed.
    """
    try:
        from .build import write_report as write
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        raise InputError(
            f"a report needs more packages ({error}): install fastcannon[report]"
        ) from error
    return write(folder, members, literature, isochrones, synthetic, say)
