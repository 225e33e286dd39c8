"""Rows of the benchmark table, as text and in their file."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numba
import numpy
import scipy

HERE = Path(__file__).parent


@dataclass
class Row:
    """One line: what was measured, what came out, and what it must be."""

    what: str
    value: float
    unit: str
    must: str
    met: bool


def at_most(what, value, limit, unit=""):
    """A row that is met where the value does not exceed the limit."""
    must = f"<= {limit:g} {unit}".strip()
    return Row(what, float(value), unit, must, bool(value <= limit))


def at_least(what, value, limit, unit=""):
    """A row that is met where the value reaches the limit."""
    must = f">= {limit:g} {unit}".strip()
    return Row(what, float(value), unit, must, bool(value >= limit))


def only(what, value, unit=""):
    """A row for information."""
    return Row(what, float(value), unit, "", True)


def processor():
    """How many of which processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [
            line.split(":", 1)[1].strip() for line in lines if "model name" in line
        ]
        return f"{len(models)} x {models[0]}"
    except (OSError, IndexError):
        return platform.machine()


def versions():
    """Versions of what counts for speed, in one line."""
    return (
        f"Python {platform.python_version()}, NumPy {numpy.__version__}, SciPy "
        f"{scipy.__version__}, Numba {numba.__version__}"
    )


def table(rows):
    """Markdown table of rows."""
    lines = ["| what | measured | must be | |", "|---|---|---|---|"]
    for row in rows:
        mark = "" if not row.must else ("met" if row.met else "**not met**")
        lines.append(
            f"| {row.what} | {row.value:.4g} {row.unit} | {row.must} | {mark} |"
        )
    return "\n".join(lines)


def write(rows, path):
    """Write the rows of this processor as JSON, before those of others."""
    here = {"versions": versions(), "rows": [asdict(row) for row in rows]}
    others = json.loads(Path(path).read_text())
    others.pop(processor(), None)
    found = {processor(): here, **others}
    Path(path).write_text(json.dumps(found, indent=1) + "\n")


def read(path):
    """Return {processor: list of Row}, the last measured first, and its versions."""
    found = json.loads(Path(path).read_text())
    rows = {name: [Row(**row) for row in own["rows"]] for name, own in found.items()}
    return rows, {name: own["versions"] for name, own in found.items()}
