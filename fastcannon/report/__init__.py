"""The report of a run: figures, tables and one page."""

from ..errors import InputError


def write_report(*arguments, **options):
    """Write figures, tables and the page of a run; see `build.write_report`.

    Raises
    ------
    InputError
        Also where the packages that it needs are not installed.
    """
    try:
        from .build import write_report as write
    except ImportError as error:
        raise InputError(
            f"a report needs more packages ({error}): install fastcannon[report]"
        ) from error
    return write(*arguments, **options)
