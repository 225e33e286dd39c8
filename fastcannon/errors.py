"""Exceptions and warnings of the package, and the check of counts.

Every message says what came, what was expected and what to do about it.
"""

from contextlib import contextmanager


class FastcannonError(Exception):
    """Base of all errors that the package raises on purpose."""


class InputError(FastcannonError, ValueError):
    """An argument (array, table, label name, option) cannot be used."""


class FileFormatError(FastcannonError, ValueError):
    """A file is cut short, damaged, of another version or not ours at all."""


class WriteError(FastcannonError, OSError):
    """A result could not be written; what was finished before is kept."""


def check_whole(value, name, least=1):
    """Return a whole number of at least ``least`` as int, or raise InputError."""
    try:
        whole = int(value) if int(value) == value else None
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or whole < least:
        raise InputError(f"{name} is {value!r}; a whole number >= {least} is expected")
    return whole


@contextmanager
def parsing(path, what):
    """Turn whatever bytes that no one thought of make a parser raise into one error.

    Parameters
    ----------
    path : str or Path
    what : str
        What is read, for the message.

    Raises
    ------
    FileFormatError
    """
    try:
        yield
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        reason = f"{reason} is missing" if isinstance(error, KeyError) else reason
        raise FileFormatError(
            f"{path}, {what}: cannot be used ({reason}); the file is damaged or was "
            "made by another program: write or copy it again"
        ) from error


class FastcannonWarning(UserWarning):
    """Base of all warnings of the package."""


class BadPixelWarning(FastcannonWarning):
    """Some pixels carry no usable number and count as zero weight."""


class TrainingWarning(FastcannonWarning):
    """Training ended, but some pixels or labels need attention."""
