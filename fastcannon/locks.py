"""Folders that one run holds against all others."""

import fcntl
import time
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError, WriteError

LOCK = ".lock"
PATIENCE = 1.0  # seconds: so long a look by `busy` cannot last
_PAUSE = 0.02  # seconds


@contextmanager
def locked(folder):
    """Make a folder if it is absent and hold it; the lock ends with the process.

    Parameters
    ----------
    folder : str or Path

    Raises
    ------
    InputError
        Another run holds it.
    WriteError
        It cannot be made or locked.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / LOCK, "w")
    except OSError as error:
        raise WriteError(
            f"{folder} cannot be made ({error.strerror}); give another folder"
        ) from error
    with handle:
        end = time.monotonic() + PATIENCE
        while not (free := _lock(handle, folder)) and time.monotonic() < end:
            time.sleep(_PAUSE)
        if not free:
            raise InputError(
                f"{folder}: another run works in this folder; wait for it, or choose "
                "another folder"
            )
        yield


def busy(folder):
    """Return whether a run holds a folder now."""
    if not (Path(folder) / LOCK).exists():
        return False
    with open(Path(folder) / LOCK, "r+") as handle:
        return not _lock(handle, folder)


def _lock(handle, folder):
    """Take a lock; return whether it was free."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise WriteError(
            f"{folder}: files cannot be locked there ({error.strerror}); choose a "
            "folder on another disk"
        ) from error
    return True
