"""Instructions that every kernel takes: python -m bench.instructions [--update].

A second witness beside `bench.compare`, which nothing else on the machine moves:
valgrind (callgrind) executes the kernels and counts, from the call by the interpreter
to the return. The data are those of `bench.compare`. It emulates a processor with AVX2
and without AVX-512; kernels are compiled for that beforehand. Fails where a kernel
takes 2 % more than bench/instructions.json says of the same versions.
"""

import argparse
import functools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import llvmlite
import numba

from fastcannon import kernels  # noqa: F401  before `cases`: these are compiled as ever
from fastcannon.parallel import single_threaded_blas

RESULTS = Path(__file__).with_name("instructions.json")
FACTOR = 1.02
PROCESSOR = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt,+sse4.2",
    "PYTHONHASHSEED": "0",
}
# Counts while numba is in a compiled function; `inside` asks for a new file of counts.
CALLGRIND = (
    *("valgrind", "--tool=callgrind", "--toggle-collect=call_cfunc*"),
    "--dump-before=getppid",
)
INSIDE = "--inside"


def main(argv=None):
    """Count, and compare with what was counted before or keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="count twice, keep it")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.inside:
        return inside()
    if options.update:
        found, again = count(), count()
        spread = max(abs(again[name] / found[name] - 1) for name in found)
        record = {"versions": versions(), "spread": spread, "instructions": found}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print("now: python -m bench.ratios")
        return 0
    before = read_counts()
    if before["versions"] != versions():
        sys.exit(f"{RESULTS.name} is of {before['versions']}: make one with --update")
    found = count()
    more = grown(found, before["instructions"])
    print(*more, f"{len(more)} of {len(found)} kernels take more", sep="\n")
    return int(bool(more))


def read_counts():
    """Return versions, spread of two countings, and instructions by kernel."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def versions():
    """Return the versions of what makes the code of kernels."""
    return {
        "python": platform.python_version(),
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "libc": " ".join(platform.libc_ver()),  # which kernels call, too
    }


def grown(found, before):
    """Return the kernels that take more instructions than before, as sentences."""
    return [
        f"{name}: {count:,} instructions, {count / before[name] - 1:+.1%}"
        for name, count in found.items()
        if name in before and count > FACTOR * before[name]
    ]


def count():
    """Return {kernel: instructions per row}."""
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed; instructions are counted by it (Linux)")
    command = [sys.executable, "-m", "bench.instructions", INSIDE]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | PROCESSOR | {"NUMBA_CACHE_DIR": f"{folder}/cache"}
        subprocess.run(command, env=environment, check=True)  # compiles
        out = Path(folder) / "counts"
        subprocess.run(
            [*CALLGRIND, f"--callgrind-out-file={out}", *command],
            env=environment,
            check=True,
            stderr=subprocess.DEVNULL,
        )
        return totals(out, list(cases()))


def totals(out, names):
    """Return {name: instructions per row} from the files of counts.

    Every kernel has two: of what came before its call, and of its call.
    """
    files = sorted(out.parent.glob(f"{out.name}.*"), key=number_of)
    if len(files) != 2 * len(names):
        sys.exit(f"{len(files)} files of counts for {len(names)} kernels, 2 for each")
    rows = {name: cases()[name][0] for name in names}
    found = {}
    for name, path in zip(names, files[1::2], strict=True):
        [total] = re.findall(r"^totals: (\d+)", path.read_text(), re.MULTILINE)
        if int(total) == 0:
            sys.exit(
                f"no instruction of {name} was counted: what does Numba call it by?"
            )
        found[name] = float(f"{int(total) / rows[name]:.6g}")
    return found


def number_of(path):
    """Return the number at the end of a file of counts."""
    return int(path.suffix[1:])


def inside():
    """Call every kernel once to load it, and once between two files of counts."""
    made = cases()
    from bench.kernel_cases import World

    world = World()
    with single_threaded_blas():
        for _, make in made.values():
            case = make(world)
            for told in (False, True):
                case.reset()
                if told:
                    os.getppid()
                case.call()
            os.getppid()
    return 0


@functools.cache
def cases():
    """Return {kernel: (rows of a call, function that makes the case)}."""
    # What the cases compile themselves is kept, too, in the folder of this one count.
    plain = numba.njit
    numba.njit = functools.partial(plain, cache=True)
    try:
        from bench.measure import CASES
    finally:
        numba.njit = plain
    return CASES


if __name__ == "__main__":
    sys.exit(main())
