"""Files that appear whole or not at all."""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


def check_target(path):
    """Return the file that a path names, its links followed, if it can be written.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        The folder does not exist, the path is a folder, or the name asks for
        compression.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(f"{path}: the folder {target.parent} does not exist; make it")
    if target.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file")
    if target.suffix in (".gz", ".bz2", ".xz", ".Z", ".zip"):
        raise InputError(
            f"{path}: files are written uncompressed; drop {target.suffix}"
        )
    return target


@contextmanager
def atomic_path(path, overwrite=True):
    """Give a temporary path in the same folder that becomes ``path`` on success.

    On any exception the temporary file is removed and ``path`` is as before.

    Parameters
    ----------
    path : str or Path
        A symbolic link stays a link; its target is replaced.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        See `check_target`; the file exists and must not be replaced.
    """
    target = check_target(path)
    if target.exists() and not overwrite:
        raise InputError(f"{path} exists; choose another name or pass overwrite=True")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with open(temporary, "r+b") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder):
    """Make the names of a folder's files last, also through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
