"""Tell which kernels got slower, by their time in units of one matrix product.

    python bench/compare.py NEW.json                # against bench/baseline.json
    python bench/compare.py NEW.json OLD.json       # two runs
    python bench/compare.py --update NEW.json       # make NEW the baseline

Files are those of ``pytest bench/test_kernels.py --benchmark-only --benchmark-json``,
OLD may also be a baseline. Exit status 1 where a kernel got slower than allowed.
"""

import argparse
import json
import sys
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")
FACTOR = 1.5


def read_record(path):
    """Return machine, versions, unit (seconds) and ratios {kernel: ratio} of a file."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be read as JSON: {error}")
    if "ratios" in record:
        return record
    runs = {
        run["param"]: run["extra_info"]
        for run in record.get("benchmarks", [])
        if "ratio" in run["extra_info"]
    }
    if not runs:
        sys.exit(
            f"{path} holds no ratios; expected a file of pytest bench/test_kernels.py "
            "--benchmark-only --benchmark-json FILE"
        )
    machine = record["machine_info"]
    units = sorted(run["unit"] for run in runs.values())
    return {
        "machine": {
            "cpu": machine["cpu"].get("brand_raw", machine["processor"]),
            "cores": machine["cpu"].get("count"),
            "system": machine["system"],
        },
        "versions": {"python": machine["python_version"], **machine["versions"]},
        "unit": float(f"{units[len(units) // 2]:.4g}"),
        "ratios": {name: float(f"{run['ratio']:.4g}") for name, run in runs.items()},
    }


def compare(new, old, factor):
    """Print a table of two sets of ratios and return the kernels that got slower."""
    print(f"{'kernel':<36}{'old':>10}{'new':>10}{'new/old':>9}")
    slower = []
    for name in sorted(new | old):
        if name not in new or name not in old:
            print(f"{name:<36}  only in {'new' if name in new else 'old'}")
            continue
        change = new[name] / old[name]
        if change > factor:
            slower.append(name)
        mark = "  SLOWER" if change > factor else ""
        print(f"{name:<36}{old[name]:>10.4g}{new[name]:>10.4g}{change:>9.2f}{mark}")
    return slower


def main(argv=None):
    """Compare two files, or renew the baseline; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("new", metavar="NEW", help="JSON file of a run")
    parser.add_argument("old", metavar="OLD", nargs="?", default=BASELINE)
    parser.add_argument(
        "--factor", type=float, default=FACTOR, help="allowed: %(default)s"
    )
    parser.add_argument("--update", action="store_true", help="write the baseline")
    args = parser.parse_args(argv)
    new = read_record(args.new)
    if args.update:
        BASELINE.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
        return 0
    slower = compare(new["ratios"], read_record(args.old)["ratios"], args.factor)
    print(f"{len(slower)} slower by more than {args.factor:g}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
