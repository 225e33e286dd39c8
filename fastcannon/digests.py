"""Digests of what files are made from, by which a later run knows them again."""

import hashlib
import json
import os


def digest(*things):
    """Return the digest of plain values, 32 hexadecimal digits."""
    text = json.dumps(things, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path):
    """Return the digest of a file's bytes, 32 hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:32]


def file_state(path):
    """Return size and time of change of a file; zeros if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
