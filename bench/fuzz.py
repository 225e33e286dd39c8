"""Coverage-guided fuzz of every reader: python -m bench.fuzz [TARGET ...].

Each target gives a damaged file to a reader (atheris, libFuzzer): it must be read, or
refused with a FastcannonError, within seconds and within MEMORY. Files with checksums
are stamped again, so that a fault behind them is reached. What breaks a target stays
in fuzz/found as the bytes of edits, which --file FILE repeats.

pip install atheris (Linux, Python 3.11 to 3.13)
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from .peaks import own_peak

FOLDER = Path("fuzz")
RESULTS = Path(__file__).with_name("fuzz.json")
MEMORY = 0.3  # GiB that one file, of at most 1 MB, may take
ADDRESSES = 6 * 2**30  # beyond it memory cannot be had: a MemoryError is a finding
SECONDS = 10  # of one file
# A process with instrumented code grows by up to 30 kB with each file, to 3 GB within
# ten minutes; the readers alone do not grow.
TURN = 2  # minutes
KEPT = 200  # bytes of edits: up to 25 edits
TEXT_KEPT = 4000


def main():
    """Run targets one after the other, and print what they did."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument(
        "--minutes", type=float, default=1.0, help="of processor time, of each target"
    )
    parser.add_argument("--one", metavar="TARGET", help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--file", metavar="FILE", help="repeat one finding")
    options = parser.parse_args()
    if options.one:
        return fuzz(options.one, options.minutes, options.file, options.work)
    from .fuzz_targets import TARGETS

    FOLDER.mkdir(exist_ok=True)
    rows = []
    for target in options.targets or TARGETS:
        rows.append(run_in_turns(target, options.minutes, options.file))
        form = "{target:<12} {executions:>10,} {edges:>6} {cpu_seconds:>6} s {finding}"
        print(form.format(**rows[-1]), flush=True)
    if not options.file:
        keep(rows)
    return int(any(row["finding"] for row in rows))


def run_in_turns(target, minutes, file):
    """Run one target in processes of at most TURN minutes; return what they did."""
    found = {"target": target, "executions": 0, "cpu_seconds": 0, "finding": ""}
    while True:
        row = run(target, min(minutes, TURN), file)
        for key in ("executions", "cpu_seconds"):
            found[key] += row[key]
        found |= {key: row[key] for key in ("edges", "finding")}
        if file or found["finding"] or found["cpu_seconds"] >= 60 * minutes:
            return found


def keep(rows):
    """Put what targets did into RESULTS, and all results into the page."""
    found = read_results() | {row["target"]: row for row in rows}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(found)


def draw(found):
    """Put results into the page and its picture."""
    # here: what fuzzes need not load matplotlib
    from .reliability import put_part, save

    put_part("fuzz", fuzz_table())
    save(fuzz_figure(found), "fuzz")


def fuzz_figure(found):
    """Return the figure of the targets: files that each was given.

    Parameters
    ----------
    found : dict of str to dict
        Of `read_results`.
    """
    from fastcannon.figures import style

    from .reliability import WELL, WRONG, finish_rows

    figure = style.new_figure(6.4, 0.8 + 0.19 * len(found))
    axes = figure.subplots()
    for colour, what, broken in (
        (WELL, "nothing found", False),
        (WRONG, "found", True),
    ):
        rows = [
            n for n, row in enumerate(found.values()) if bool(row["finding"]) == broken
        ]
        files = [row["executions"] for row in found.values()]
        if rows:
            label = f"{what}: {len(rows)} readers"
            axes.barh(
                rows, [files[n] for n in rows], color=colour, height=0.7, label=label
            )
    axes.set_xscale("log")
    axes.set_xlim(left=100)
    return finish_rows(figure, axes, list(found), "damaged files that were read")


def read_results():
    """Return what every target did when it last ran."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def fuzz_table():
    """Return the results as the lines of a table."""
    from .fuzz_targets import TARGETS

    lines = [
        "",
        "| target | reads | files | processor time | found |",
        "|---|---|--:|--:|---|",
    ]
    for target, row in read_results().items():
        minutes = f"{row['cpu_seconds'] / 60:.0f} min"
        finding = row["finding"] or "nothing"
        what = TARGETS[target].what
        lines.append(
            f"| {target} | {what} | {row['executions']:,} | {minutes} | {finding} |"
        )
    return "\n".join([*lines, ""])


def run(target, minutes, file):
    """Run one target in a process of its own; return what it did."""
    command = [sys.executable, "-m", "bench.fuzz", "--one", target]
    command += ["--minutes", str(minutes), *(["--file", file] if file else [])]
    before = processor_time()
    with tempfile.TemporaryDirectory(dir=scratch_home()) as work:
        done = subprocess.run(
            [*command, "--work", work],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    said = done.stdout
    finding = ""
    if done.returncode:
        errors = re.findall(r"Python exception: ===\n(.+)|(ERROR: libFuzzer.+)", said)
        finding = "".join(errors[0]) if errors else f"exit {done.returncode}"
        (FOLDER / f"{target}.log").write_text(said)
    return {
        "target": target,
        "executions": last_number(r"stat::number_of_executed_units:\s*(\d+)", said)
        or last_number(r"#(\d+)", said),
        "edges": last_number(r"cov: (\d+)", said),
        "cpu_seconds": round(processor_time() - before),
        "finding": finding,
    }


def processor_time():
    """Return the processor time of all targets so far, seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def last_number(pattern, text):
    """Return the last number that the pattern finds, 0 if none."""
    return int((re.findall(pattern, text) or [0])[-1])


def fuzz(target, minutes, file, work):
    """Fuzz one target in this process; libFuzzer ends it."""
    import atheris

    # Numba cannot compile what is instrumented.
    kernels = Path(__file__).parents[1] / "kernels"
    without = [f"fastcannon.kernels.{path.stem}" for path in kernels.glob("*.py")]
    with atheris.instrument_imports(["fastcannon"], ["fastcannon.kernels", *without]):
        from .fuzz_targets import TARGETS, Seeds

    warnings.simplefilter("ignore")
    found = FOLDER / "found" / target
    corpus = FOLDER / "corpus" / target
    for folder in (found, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    read = TARGETS[target]
    seeds = Seeds(work)
    read(seeds, b"")  # compiles the kernels, loads what is loaded late
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))

    def one(data):
        guarded(read, seeds, data)

    arguments = [
        *("fuzz", f"-artifact_prefix={found}/", f"-timeout={SECONDS}"),
        *("-rss_limit_mb=3000", f"-max_len={TEXT_KEPT if read.is_text else KEPT}"),
    ]
    if file:
        arguments.append(file)
    else:
        arguments += [f"-max_total_time={round(60 * minutes)}", "-print_final_stats=1"]
        arguments += ["-len_control=0", str(corpus)]
        if read.is_text:
            (corpus / "seed").write_bytes(seeds.content(read.name))
    atheris.Setup(arguments, one)
    atheris.Fuzz()
    return 0


def guarded(read, seeds, data):
    """Read damaged bytes; anything but a FastcannonError is a finding."""
    from fastcannon.errors import FastcannonError

    before = own_peak()
    try:
        read(seeds, data)
    except FastcannonError as error:
        cause = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                raise AssertionError(f"memory for a header's word: {error}") from error
            cause = cause.__cause__
    grown = own_peak() - before
    if grown > MEMORY:
        raise AssertionError(f"one file took {grown:.1f} GiB")


def scratch_home():
    """Return a folder in memory, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
