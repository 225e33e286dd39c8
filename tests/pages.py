"""Runs the code of a documentation page, block by block, and compares what it prints.

A page's fenced blocks mean:

========= =======================================================================
python    run in one namespace for all of the page
text      what the python block before it prints
console   lines after "$ " are run by the shell; others, if any, are what they print
toml      written to the file that a comment above names: <!-- file: a.toml -->
========= =======================================================================

Other blocks are only shown. A line "..." stands for any lines. Text and numbers must be
as on the page, spaces aside; a comment above a block allows more:
<!-- numbers within 20 % --> (or a unit of the last digit shown),
<!-- numbers within 20 % or 5 -->, <!-- exit code 3 -->.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from astropy.units import UnitsWarning

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (.*?) -->\s*\Z")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass
class Block:
    """A fenced block: language, content, place, and the comment above it."""

    language: str
    content: str
    line: int
    comment: str

    def noted(self, pattern):
        """Return what a comment says, or None."""
        found = re.search(pattern, self.comment)
        return found and found[1]

    @property
    def tolerance(self):
        """Relative and absolute tolerance of numbers; None: they are as on the page."""
        percent = self.noted(r"numbers within (\d+) %")
        if percent is None:
            return None
        return float(percent) / 100, float(self.noted(r" % or (\d+)") or 0)


def read_blocks(path):
    """Return the fenced blocks of a page, in order."""
    text = Path(path).read_text()
    blocks = []
    for fence in _FENCE.finditer(text):
        comment = _COMMENT.search(text[: fence.start()])
        line = text.count("\n", 0, fence.start(2)) + 1
        blocks.append(Block(*fence.groups(), line, comment[1] if comment else ""))
    return blocks


def run_page(path, folder):
    """Run all blocks of a page in a folder, which is the working directory.

    Raises
    ------
    AssertionError
        A command failed or printed something else; names file and line.
    """
    namespace, printed = {"__name__": "page"}, ""
    for block in read_blocks(path):
        where = f"{Path(path).name}:{block.line}"
        if block.language == "python":
            printed = run_python(block, where, namespace)
        elif block.language == "text":
            compare(printed, block.content, block.tolerance, where)
        elif block.language == "console":
            for command, shown in commands(block.content):
                code = int(block.noted(r"exit code (\d)") or 0)
                said = run_command(command, folder, code, where)
                if shown.strip():
                    compare(said, shown, block.tolerance, f"{where}: {command}")
        elif name := block.noted(r"file: (\S+)"):
            (folder / name).write_text(block.content)


def run_python(block, where, namespace):
    """Run a block of Python and return what it printed."""
    source = "\n" * (block.line - 1) + block.content  # tracebacks show the page's lines
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # FITS does not know the unit dex
        exec(compile(source, where, "exec"), namespace)
    return printed.getvalue()


def commands(content):
    """Return (command, shown output) of a console block."""
    found = re.split(r"^\$ ", content.replace("\\\n", " "), flags=re.MULTILINE)
    return [tuple(part.split("\n", 1)) for part in found if part]


def run_command(command, folder, code, where):
    """Run a shell command; return what it wrote to its standard output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    said = f"{where}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert done.returncode == code, f"exit code {done.returncode}: {said}"
    return done.stdout


def compare(printed, shown, tolerance, where):
    """Assert that output is what the page shows."""
    lines = [line.split() for line in printed.splitlines() if line.strip()]
    skipping = False
    for wanted in (line.split() for line in shown.splitlines() if line.strip()):
        if wanted == ["..."]:
            skipping = True
            continue
        while skipping and lines and not same(lines[0], wanted, tolerance):
            del lines[0]
        there = bool(lines) and same(lines[0], wanted, tolerance)
        assert there, f"{where}: no line {' '.join(wanted)!r} here in\n{printed}"
        del lines[0]
        skipping = False
    assert skipping or not lines, f"{where}: more than the page shows:\n{printed}"


def same(words, wanted, tolerance):
    """Whether two lines are equal, their numbers within the tolerance."""
    line, page = " ".join(words), " ".join(wanted)
    if line == page or tolerance is None:
        return line == page
    if _NUMBER.sub("#", line) != _NUMBER.sub("#", page):
        return False
    pairs = zip(_NUMBER.findall(line), _NUMBER.findall(page), strict=True)
    return all(near(*pair, tolerance) for pair in pairs)


def near(number, shown, tolerance):
    """Whether a number is within the tolerances, or a unit of the last digit shown."""
    relative, absolute = tolerance
    unit = 10.0 ** -len(shown.partition("e")[0].partition(".")[2])
    away = abs(float(number) - float(shown))
    return away <= max(relative * abs(float(shown)), absolute, 1.001 * unit)
