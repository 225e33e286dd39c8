"""The report of a run: figures, tables and one page."""

from ..extras import needing


def write_report(
    folder, members=None, literature=None, isochrones=(), synthetic=None, say=print
):
    """Write figures, tables and the page of a run; see `build.write_report`.

    Raises
    ------
    InputError
        Also where the packages that it needs are not installed.
    """
    with needing("report"):
        from .build import write_report as write
    return write(folder, members, literature, isochrones, synthetic, say)
