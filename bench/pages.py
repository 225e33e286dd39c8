"""The pages of the benchmarks, from what was measured: python -m bench.pages.

docs/benchmarks.md has all of bench/results.json, and the sizes of bench/baseline.json;
README.md has a dozen lines of it, docs/cross-survey.md what follows for large surveys.
`python -m bench` ends with this.
"""

import sys
from fnmatch import fnmatchcase
from statistics import median

from . import scale
from .compare import BASELINE, read_baseline
from .reliability import with_part
from .results import HERE, only, read

ROOT = HERE.parent
README, DOCS = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
RESULTS = HERE / "results.json"

# Patterns of one row each: where a part of docs/benchmarks.md begins.
SECTIONS = {
    "labels - scipy's, formal errors, K = 6*": "Right answers",
    "U on all threads": "Inference",
    "G on all threads": "Training",
    "gain of 2 threads over 1: product": "Threads, memory and start",
    "simulating 1,000 stars*": "Simulating, packing and reading",
    "U beside it": "Whole surveys",
    "distance - brute force*": "Catalogues, runs and reports",
    "translator, apokasc_logg_cal, LOGG_SEIS: scatter": "Translator, on real tables",
    "translator, simulated, *: stars translated": "Translator, on simulated surveys",
}
SIZES = "By labels, pixels and stars, on one thread"
# Patterns of one row each: the table of README.md.
HEADLINES = (
    "U on all threads",
    "inference, K = 3, P = 8575, N = 512: per spectrum",
    "inference, K = 6, P = 8575, N = 512: per spectrum",
    "inference, K = 10, P = 8575, N = 128: per spectrum",
    "AnniesLasso * / ours, 1 start",
    "TheCannon * / ours, 1 start",
    "G on all threads",
    "training",
    "12-fold cross-validation with training",
    "normalising APOGEE spectra",
    "packed spectra to catalogue rows, 8 starts, normalising it",
    "apogee: packing / fitsio reading",
    "packing *: gain of 2 processes over 1",
    "translator: training *",
    "translator: 1,000,000 rows applied*",
)


def write_pages():
    """Put the tables between the marks of the pages."""
    for path, text in make_pages().items():
        path.write_text(text, encoding="utf-8")


def make_pages():
    """Return {path: text} of all pages, as the files of results make them."""
    rows, versions = read(RESULTS)
    sizes = read_sizes()
    measured = " ".join(f"{name}: {text}." for name, text in versions.items())
    middles = {
        (README, "bench"): f"{headlines(rows, sizes)}\n\n{measured}",
        (DOCS, "bench"): f"{sections(rows, sizes)}\n\n{measured}",
        (scale.DOCS, "scale"): scale.table(next(iter(rows.values()))),
    }
    return {
        path: with_part(path.read_text(encoding="utf-8"), name, f"\n{middle}\n")
        for (path, name), middle in middles.items()
    }


def read_sizes():
    """Return {processor: rows of the sizes}, by the baseline.

    The sizes are what `bench.compare` watches: those on one thread, timed by its own
    clock, which no other work on the machine moves.
    """
    rows = {"inference": "spectrum", "training": "pixel"}
    return {
        machine: [
            only(f"{name}: per {rows[kind]}", median(ratios), "U")
            for name, ratios in own.items()
            if (kind := name.partition(",")[0]) in rows and "threads" not in name
        ]
        for machine, own in read_baseline(BASELINE).items()
    }


def headlines(rows, sizes):
    """Return the table of the README, and what it leaves out."""
    both = {name: own + sizes.get(name, []) for name, own in rows.items()}
    first = next(own for name, own in both.items() if name in sizes)
    chosen = [first[place(pattern, first)].what for pattern in HEADLINES]
    missed = ", ".join(
        f"{sum(not row.met for row in own)} on {name}" for name, own in both.items()
    )
    limits = sum(bool(row.must) for row in first)
    return (
        f"{side_by_side(both, chosen)}\n\n{len(HEADLINES)} of {len(first)} numbers; of "
        f"{limits} that must be met are not: {missed}."
    )


def sections(rows, sizes):
    """Return all rows, a table for each section."""
    first = next(iter(rows.values()))
    starts = [place(pattern, first) for pattern in SECTIONS]
    names = [row.what for row in first]
    found = [
        f"## {title}\n\n{side_by_side(rows, names, start, end)}"
        for title, start, end in zip(
            SECTIONS.values(), starts, [*starts[1:], len(first)], strict=True
        )
    ]
    sized = {name: sizes[name] for name in rows if name in sizes}
    names = [row.what for row in next(iter(sized.values()))]
    return "\n\n".join([*found, f"## {SIZES}\n\n{side_by_side(sized, names)}"])


def side_by_side(rows, names, start=0, end=None):
    """Return a table of rows with a column for each processor.

    Parameters
    ----------
    rows : dict of str to list of Row
    names : list of str
        What the rows are of; the second of a name is the second of a processor.
    start, end : int
        Of the names that are shown.
    """
    lines = [f"| what | {' | '.join(rows)} | must be |", "|---|" + "---|" * len(rows)]
    lines[1] += "---|"
    left = {name: list(own) for name, own in rows.items()}
    for what in names[:end]:
        found = {name: _take(own, what) for name, own in left.items()}
        must = next(row.must for row in found.values() if row)
        cells = " | ".join(_cell(row) for row in found.values())
        lines.append(f"| {what} | {cells} | {must} |")
    return "\n".join(lines[:2] + lines[2 + start :])


def _take(rows, what):
    """Take the first row of a name away; None where there is none."""
    for number, row in enumerate(rows):
        if row.what == what:
            return rows.pop(number)
    return None


def _cell(row):
    if row is None:
        return ""
    value = f"{row.value:.4g} {row.unit}".strip()
    return value if row.met else f"{value} **not met**"


def place(pattern, rows):
    """Return where the one row of a pattern stands."""
    found = [i for i, row in enumerate(rows) if fnmatchcase(row.what, pattern)]
    if len(found) != 1:
        raise ValueError(f"{pattern!r} is {len(found)} rows, expected 1: see pages.py")
    return found[0]


if __name__ == "__main__":
    sys.exit(write_pages())
