"""Tell what got slower, by its time in units of one matrix product.

    python -m bench.compare              # measure, against bench/baseline.json
    python -m bench.compare NAME ...     # only what has one of these in its name
    python -m bench.compare --update     # measure, and make it the baseline

A ratio is of the quickest of twelve turns, of a case and of the product. It may be 15 %
above the baseline: the median of the rounds that were kept of this processor, five as
--update makes them. What is above is measured again, up to `TRIES` times, and the
median counts. On another processor ratios differ for reasons of their own: 50 % above
the largest are allowed there. The exit status is 1 where anything got slower. Nothing
else should run meanwhile.
"""

import argparse
import importlib.metadata
import json
import platform
import sys
from pathlib import Path

import numpy as np

BASELINE = Path(__file__).with_name("baseline.json")
FACTOR, FACTOR_ELSEWHERE = 1.15, 1.5
TRIES = 5
PACKAGES = ("numba", "numpy", "scipy")
HELP = "take the committed one, or without any make one with --update"


def read_baseline(path):
    """Return {machine: {name: ratios}}: of every round, on every processor."""
    try:
        known = json.loads(Path(path).read_text(encoding="utf-8"))
        found = {machine: record["ratios"] for machine, record in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"{path} is no baseline ({error}): {HELP}")
    return found or sys.exit(f"{path} is no baseline (it is empty): {HELP}")


def write_baseline(path, machine, runs):
    """Write the ratios of all runs as the baseline of a machine, beside the others."""
    path = Path(path)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    known[machine] = {
        "versions": {"python": platform.python_version(), **versions},
        "ratios": {
            name: [float(f"{run[name]:.4g}") for run in runs] for name in runs[0]
        },
    }
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def limits_of(known, machine):
    """Return {name: ratio} that counts on a machine, and how far above it one may be.

    Parameters
    ----------
    known : dict of str to dict
        As `read_baseline` returns it.
    machine : str
    """
    here = [known[machine]] if machine in known else list(known.values())
    names = set.union(*(set(ratios) for ratios in here))
    old = {
        name: max(float(np.median(ratios[name])) for ratios in here if name in ratios)
        for name in names
    }
    return old, FACTOR if machine in known else FACTOR_ELSEWHERE


def settle(measure, old, factor, tries=TRIES):
    """Measure, and again what seems slower, until it is not or was tried enough.

    Parameters
    ----------
    measure : callable
        Of a list of names; returns {name: ratio}.
    old : dict of str to float
        The baseline.
    factor : float
        What a ratio may be times its old one.
    tries : int

    Returns
    -------
    new : dict of str to float
        The median of what was measured.
    counts : dict of str to int
        How often it was.
    """
    found = {name: [ratio] for name, ratio in measure(list(old)).items()}
    for _ in range(tries - 1):
        slow = slower({name: np.median(r) for name, r in found.items()}, old, factor)
        if not slow:
            break
        for name, ratio in measure(slow).items():
            found[name].append(ratio)
    new = {name: float(np.median(ratios)) for name, ratios in found.items()}
    return new, {name: len(ratios) for name, ratios in found.items()}


def slower(new, old, factor):
    """Return the names whose ratio grew by more than the factor."""
    return [name for name, ratio in new.items() if ratio > factor * old[name]]


def report(new, old, counts, factor):
    """Return the lines of a table of two sets of ratios."""
    lines = [f"{'':<52}{'old':>10}{'new':>10}{'new/old':>9}"]
    for name, ratio in new.items():
        change = ratio / old[name]
        note = f"  measured {counts[name]} times" if counts[name] > 1 else ""
        note += "  SLOWER" if change > factor else ""
        lines.append(f"{name:<52}{old[name]:>10.4g}{ratio:>10.4g}{change:>9.2f}{note}")
    return lines


def main(argv=None):
    """Compare with the baseline, or renew it; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--update", action="store_true", help="write the baseline")
    args = parser.parse_args(argv)
    from bench.measure import CASES, WHOLE, Bench
    from bench.results import processor

    bench, machine = Bench(), processor()
    names = [*CASES, *WHOLE]
    if args.update:
        if BASELINE.exists():
            read_baseline(BASELINE)  # before the work, which is added to it
        write_baseline(BASELINE, machine, [bench.measure(names) for _ in range(TRIES)])
        print("now: python -m bench.pages; python -m bench.ratios")
        return 0
    known = read_baseline(BASELINE)
    old, factor = limits_of(known, machine)
    if lacking := set(names) ^ set(old):
        sys.exit(f"{BASELINE} and the cases differ in {sorted(lacking)}: --update")
    old = {name: old[name] for name in names}
    if args.names:
        old = {n: r for n, r in old.items() if any(part in n for part in args.names)}
    new, counts = settle(bench.measure, old, factor)
    print(*report(new, old, counts, factor), sep="\n")
    slow = slower(new, old, factor)
    print(f"{len(slow)} of {len(new)} slower by more than {factor:g}, on {machine}")
    if machine not in known:
        print(f"the baseline is of {', '.join(known)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
