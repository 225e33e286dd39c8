"""``python -m fastcannon``: the command ``fastcannon``."""

import sys

from .cli import program

if __name__ == "__main__":
    sys.exit(program())
