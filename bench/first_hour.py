"""A new clone on a bare account: python -m bench.first_hour [STEP ...].

Clones the last commit into a temporary folder, with a home folder of its own and so
without what pip and compilers kept, and does what a newcomer and a maintainer do there,
one after the other. Fills its part of docs/reliability.md; the exit code is 1 if a step
failed. The step "python" needs another Python: --python python3.13.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fastcannon.figures import style

from .realdata import data_folder
from .reliability import WELL, WRONG, finish_rows, put_part, save
from .results import processor

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("first_hour.json")
STEPS = {
    "clone": "git clone, into an empty home folder",
    "demo": "make demo, with installing",
    "test": "make test, tutorials included",
    "check": "make check: format, lint, types",
    "docs": "make docs",
    "package": "make package: sdist and wheel, installed elsewhere",
    "oldest": "make test-oldest, with installing",
    "python": "the tests on another Python, with installing",
}
HOUR = 60  # minutes
FAREWELL = 1500  # characters of the output that are looked at


def main():
    """Do the steps, draw them, and write how long they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = [step for step in STEPS if step != "clone"]  # which all others begin with
    parser.add_argument("steps", metavar="STEP", nargs="*", help=", ".join(known))
    parser.add_argument("--python")
    options = parser.parse_args()
    if unknown := set(options.steps) - set(known):
        parser.error(f"unknown step {', '.join(sorted(unknown))}")
    if "python" in options.steps and options.python is None:
        parser.error("the step python needs --python")
    steps = options.steps or [s for s in known if s != "python" or options.python]
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        bare = Bare(Path(name))
        for step in ["clone", *steps]:
            row = bare.do(step, options.python)
            print(step, row, flush=True)
            keep(step, row)
            wrong += [step] if row["exit"] else []
            if "clone" in wrong:
                break
    print(f"{len(wrong)} steps failed: {', '.join(wrong) or 'none'}")
    return int(bool(wrong))


class Bare:
    """An account with nothing in it, but for this machine's programs.

    Parameters
    ----------
    folder : Path
        Empty: home and clone are made in it.
    """

    def __init__(self, folder):
        home = folder / "home"
        home.mkdir()
        self.clone = folder / "fastcannon"
        own = {"HOME": str(home), "PIP_NO_CACHE_DIR": "1"}
        dropped = ("VIRTUAL_ENV", "XDG_", "NUMBA_", "PYTHON", "MAKE", "MFLAGS")
        self._environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(dropped)
        } | own
        if data := data_folder():
            self._environment["FASTCANNON_TEST_DATA"] = str(data)

    def do(self, step, python):
        """Do one step; return its minutes, exit code and last words."""
        where = self.clone if step != "clone" else ROOT
        start = time.perf_counter()
        done = subprocess.run(
            self._command(step, python),
            cwd=where,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        minutes = (time.perf_counter() - start) / 60
        if done.returncode:
            print(done.stdout[-FAREWELL:], flush=True)
        said = last_words(done.stdout)
        if step == "python":
            said = f"{Path(python).name}: {said}"
        return {"minutes": round(minutes, 2), "exit": done.returncode, "said": said}

    def _command(self, step, python):
        if step == "clone":
            return ["git", "clone", "--quiet", str(ROOT), str(self.clone)]
        if step == "oldest":
            return ["make", "test-oldest"]
        if step == "python":
            return ["make", "clean", "test", f"PYTHON={python}"]
        return ["make", step]


def last_words(text):
    """Return the summaries of pytest in an output, and the covered share."""
    tests = re.findall(
        r"^=* ?(\d+ (?:passed|failed).*?) in [\d.]+s", text, re.MULTILINE
    )
    covered = re.findall(r"^TOTAL .* (\d+%)$", text, re.MULTILINE)
    share = [f"{covered[0]} of the lines covered"] if covered else []
    return "; ".join([*tests, *share])


def read_results():
    """Return the results of the last steps: processor and {step: row}."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def keep(step, row):
    """Put a result among those of the last time here, in the file and on the page."""
    before = read_results()
    found = before["steps"] if before["machine"] == processor() else {}
    found = found | {step: row}
    steps = {name: found[name] for name in STEPS if name in found}
    content = {"machine": processor(), "steps": steps}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    put_part("hour", hour_text())
    save(hour_figure(steps), "hour")


def hour_text():
    """Return the results as the lines of the page."""
    found = read_results()
    lines = ["", "| step | minutes | |", "|---|--:|---|"]
    for step, row in found["steps"].items():
        end = "" if row["exit"] == 0 else f"**exit code {row['exit']}** "
        minutes = f"{row['minutes']:.1f}"
        lines.append(f"| {STEPS[step]} | {minutes} | {end}{row['said']} |".rstrip())
    return "\n".join([*lines, "", f"On {found['machine']}.", ""])


def hour_figure(steps):
    """Return the figure of the steps: one bar each, one after the other."""
    figure = style.new_figure(6.4, 0.8 + 0.22 * len(steps))
    axes = figure.subplots()
    axes.axvline(HOUR, color=style.INK, linewidth=1, label="one hour")
    end = 0.0
    for number, row in enumerate(steps.values()):
        colour = WELL if row["exit"] == 0 else WRONG
        axes.barh(number, row["minutes"], left=end, color=colour, height=0.7)
        end += row["minutes"]
    names = [STEPS[step] for step in steps]
    return finish_rows(figure, axes, names, "minutes after the start of the clone")


if __name__ == "__main__":
    sys.exit(main())
