"""Twenty runs killed at random moments and started again: python -m bench.kills.

Each ends in the bytes of an undisturbed run, or the exit code is 1.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fastcannon.digests import file_digest
from fastcannon.simulator import simulate

from .results import Row, table

STARS, OVERLAP, KILLS = 300, 300, 20
# A small model and small parts, so that there is more to interrupt.
SETTINGS = """
[pack]
stars_per_part = 256

[labels]
names = ["teff", "logg", "fe_h"]

[model]
folds = 4
"""


def main():
    """Kill, start again, compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, STARS, OVERLAP)
        text = (folder / "fastcannon.toml").read_text()
        text = text[: text.index("[labels]")] + SETTINGS
        start = time.perf_counter()
        expected = finish(configure(folder, text, "whole"))
        seconds = time.perf_counter() - start
        chance = random.Random(1)
        same = 0
        for number in range(options.kills):
            config = configure(folder, text, f"killed-{number}")
            moment = chance.uniform(0.05, 1.0) * seconds
            stopped = kill(config, moment)
            same += finish(config) == expected
            print(f"{moment:6.1f} s: {stopped}; {same} of {number + 1} the same")
    what = f"{options.kills} kills at random moments: identical catalogues"
    row = Row(what, same, "", f"= {options.kills}", same == options.kills)
    print(table([row]))
    return 0 if row.met else 1


def configure(folder, text, name):
    """Write a configuration with an output folder of its own; return its path."""
    path = folder / f"{name}.toml"
    path.write_text(text.replace('folder = "run"', f'folder = "{name}"'))
    return path


def kill(config, moment):
    """Start a run and kill it with all its workers; return how far it was."""
    run = subprocess.Popen(
        command(config),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        run.wait(moment)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    made = config.with_suffix("")
    return f"{sum(path.is_file() for path in made.rglob('*'))} files"


def finish(config):
    """Run to the end; return the digests of the catalogues and their partitions."""
    done = subprocess.run(command(config), capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{config}: {done.stderr}")
    made = config.with_suffix("") / "catalogues"
    return {
        str(path.relative_to(made)): file_digest(path)
        for path in sorted(made.rglob("*"))
        if path.is_file()
    }


def command(config):
    """Return the command of a run with two workers."""
    return [
        *(sys.executable, "-m", "fastcannon.cli", "run", str(config)),
        *("--workers", "2"),
    ]


if __name__ == "__main__":
    sys.exit(main())
