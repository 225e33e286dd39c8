"""The pages of the benchmarks, from what was measured: python -m bench.pages.

docs/benchmarks.md has all of bench/results.json, and the sizes of bench/baseline.json;
README.md has a dozen lines of it. `python -m bench` ends with this.
"""

import json
import sys
from fnmatch import fnmatchcase
from statistics import median

from .compare import BASELINE, read_baseline
from .reliability import with_part
from .results import HERE, Row, only, table

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
    """Put the tables between the marks of both pages."""
    for path, text in make_pages().items():
        path.write_text(text, encoding="utf-8")


def make_pages():
    """Return {path: text} of both pages, as the files of results make them."""
    measured, rows, sizes = read_results()
    middles = {README: headlines(rows, sizes), DOCS: sections(rows, sizes)}
    found = {}
    for path, middle in middles.items():
        page = path.read_text(encoding="utf-8")
        found[path] = with_part(page, "bench", f"\n{middle}\n\n{measured}\n")
    return found


def read_results():
    """Return where was measured, the rows of the results, and those of the sizes.

    The sizes are what `bench.compare` watches: those on one thread, timed by its own
    clock, which no other work on the machine moves.
    """
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    known = read_baseline(BASELINE)
    here = [machine for machine in known if found["machine"].startswith(machine)]
    where = (here or list(known))[0]
    rows = {"inference": "spectrum", "training": "pixel"}
    sizes = [
        only(f"{name}: per {rows[kind]}", median(ratios), "U")
        for name, ratios in known[where].items()
        if (kind := name.partition(",")[0]) in rows and "threads" not in name
    ]
    measured = f"Measured on {found['machine']}."
    if not here:
        measured = f"{measured} Rows with K, P and N: {where}."
    return measured, [Row(**row) for row in found["rows"]], sizes


def headlines(rows, sizes):
    """Return the table of the README, and what it leaves out."""
    both = rows + sizes
    limits = [row for row in both if row.must]
    missed = sum(not row.met for row in limits)
    chosen = table([both[place(pattern, both)] for pattern in HEADLINES])
    return (
        f"{chosen}\n\n{len(HEADLINES)} of {len(both)} numbers; of {len(limits)} that "
        f"must be met {missed} {'is' if missed == 1 else 'are'} not."
    )


def sections(rows, sizes):
    """Return all rows, a table for each section."""
    starts = [place(pattern, rows) for pattern in SECTIONS]
    ends = [*starts[1:], len(rows)]
    parts = [rows[a:b] for a, b in zip(starts, ends, strict=True)]
    titles = [*SECTIONS.values(), SIZES]
    tables = zip(titles, [*parts, sizes], strict=True)
    return "\n\n".join(f"## {title}\n\n{table(part)}" for title, part in tables)


def place(pattern, rows):
    """Return where the one row of a pattern stands."""
    found = [i for i, row in enumerate(rows) if fnmatchcase(row.what, pattern)]
    if len(found) != 1:
        raise ValueError(f"{pattern!r} is {len(found)} rows, expected 1: see pages.py")
    return found[0]


if __name__ == "__main__":
    sys.exit(write_pages())
