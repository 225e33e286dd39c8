"""Text files of a run, JSON and ECSV, that hold a digest of themselves.

One line, ``"sha256": "..."`` in JSON and ``# sha256 ...`` in ECSV, is the SHA-256 of
all other bytes of the file: a wrong bit is found before anything is read. Other
programs take the line for a value more, or a comment.
"""

import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
from astropy.table import Table

from .atomic import atomic_path
from .errors import FileFormatError, parsing

SEAL = "sha256"
_JSON_LINE = f' "{SEAL}": "{{}}",\n'
_ECSV_LINE = f"# {SEAL} {{}}\n"
_SEALS = {
    line: re.compile(line.format("([0-9a-f]{64})").encode(), re.MULTILINE)
    for line in (f"^{_JSON_LINE}", f"^{_ECSV_LINE}")
}


def write_json(path, content):
    """Write plain values as JSON, atomically and in a fixed order.

    Parameters
    ----------
    path : str or Path
    content : dict
        With at least one key. Numbers that are not finite, which JSON does not know,
        become null.
    """
    plain = _finite(content)
    text = json.dumps(plain, indent=1, sort_keys=True, default=str, allow_nan=False)
    _write(path, "{\n", _JSON_LINE, text.removeprefix("{\n") + "\n")


def read_json(path):
    """Read what `write_json` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict

    Raises
    ------
    FileFormatError
        It is damaged, or of another program.
    FileNotFoundError
    """
    text = _read(path, _JSON_LINE)
    with parsing(path, "JSON"):
        found = dict(json.loads(text))
        del found[SEAL]
    return found


def write_ecsv(path, table):
    """Write an astropy Table as ECSV, atomically.

    Parameters
    ----------
    path : str or Path
    table : astropy Table
    """
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    _write(path, text.getvalue(), _ECSV_LINE, "")


def read_ecsv(path):
    """Read what `write_ecsv` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    astropy Table

    Raises
    ------
    FileFormatError
        It is damaged, or of another program.
    FileNotFoundError
    """
    text = _read(path, _ECSV_LINE)
    with parsing(path, "ECSV"):
        return Table.read(text, format="ascii.ecsv")


def _write(path, before, line, after):
    """Write a text with its digest between two parts of it."""
    found = hashlib.sha256((before + after).encode()).hexdigest()
    with atomic_path(path) as temporary:
        text = before + line.format(found) + after
        Path(temporary).write_text(text, encoding="utf-8", newline="")


def _read(path, line):
    """Return the text of a file whose digest agrees."""
    content = Path(path).read_bytes()
    seals = list(_SEALS[f"^{line}"].finditer(content))
    rest = b"" if not seals else content[: seals[0].start()] + content[seals[0].end() :]
    if len(seals) != 1 or hashlib.sha256(rest).hexdigest() != seals[0][1].decode():
        raise FileFormatError(
            f"{path}: its text does not agree with its {SEAL}; it is damaged or was "
            "changed by hand: copy it again, or let fastcannon make it again"
        )
    return content.decode()


def _finite(value):
    """Return plain values with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
