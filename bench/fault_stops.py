"""Full disks, files that change while they are read, lost workers, two at a time."""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fastcannon import CannonModel, jobs
from fastcannon.errors import FastcannonError
from fastcannon.scheduler import LOSSES
from fastcannon.spectra import SpectraFile

from .fault_ground import contents, ended, halves, program, temporaries
from .fault_kills import DONE

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))\n"
SHARES = (0.02, 0.2, 0.4, 0.6, 0.8, 0.95)  # of what a command writes
BORNE = LOSSES - 1  # workers that a run may lose, if all had the same task
KEPT, FITS = "one line, nothing half, resumed", "it fitted"


class Full(NamedTuple):
    """A command on a disk that is too small, and what came of it."""

    command: str
    share: float
    outcome: str


class Check(NamedTuple):
    """A fault, whether all was well, and what was said."""

    what: str
    well: bool
    said: str


# ---- full disks


def can_mount(folder):
    """Return whether this process may mount a small disk."""
    try:
        with small_disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def small_disk(folder, size=1 << 20):
    """Mount a disk of some bytes in memory; gives a function that enlarges it."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)

    def enlarge(to):
        subprocess.run(["mount", "-o", f"remount,size={to}", str(folder)], check=True)

    try:
        yield enlarge
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(command, folder, share):
    """Run a command on a disk with room for a share of its files, then on a larger.

    Parameters
    ----------
    command : fault_ground.Command
    folder : Path
        Where the disk is mounted.
    share : float
        Of the bytes that an undisturbed command leaves.

    Returns
    -------
    Full
    """
    whole = command.folder
    size = sum(p.stat().st_size for p in whole.rglob("*") if p.is_file())
    with small_disk(folder, max(int(share * size), 4096)) as enlarge:
        out = folder / "out"
        if command.name == "report":  # the run that it shows was there before
            enlarge(10 * size)
            arguments = command.prepare(out)
            there = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
            enlarge(there + int(share * (size - there)) + 4096 * 20)
        else:
            arguments = command.prepare(out)
        done = ended(arguments)
        if done.returncode in DONE:
            return Full(command.name, share, FITS)
        wrong = refused_well(done) + halves(out, command.expected) + temporaries(out)
        enlarge(10 * size)
        again = ended(arguments)
        if again.returncode not in DONE or contents(out) != command.expected:
            wrong.append(f"not resumed: {again.stderr[-300:]}")
    return Full(command.name, share, f"wrong: {wrong}" if wrong else KEPT)


def fill_files(command, out, largest):
    """Run a command that may write no file larger than some bytes, then one that may.

    For machines where nobody may mount a disk.

    Returns
    -------
    Full
    """
    arguments = command.prepare(out)
    done = ended(arguments, LIMIT.format(largest))
    if done.returncode in DONE:
        return Full(command.name, largest, FITS)
    wrong = refused_well(done) + halves(out, command.expected) + temporaries(out)
    again = ended(arguments)
    if again.returncode not in DONE or contents(out) != command.expected:
        wrong.append(f"not resumed: {again.stderr[-300:]}")
    return Full(command.name, largest, f"wrong: {wrong}" if wrong else KEPT)


def refused_well(done):
    """Return what is wrong with how a program refused: code 2 and one line."""
    lines = [line for line in done.stderr.splitlines() if "warning:" not in line]
    errors = [line for line in lines if line.startswith("fastcannon: error: ")]
    if done.returncode == 2 and len(lines) == len(errors) == 1:
        return []
    return [f"exit code {done.returncode}, {len(lines)} lines: {done.stderr[-1500:]}"]


# ---- files that change


def changes(ground, model, folder):
    """Infer from a spectra file that is cut, overwritten or replaced meanwhile.

    Parameters
    ----------
    ground : fault_ground.Ground
    model : Path
        Trained on its spectra file.
    folder : Path

    Returns
    -------
    list of Check
    """
    source = ground.folder / "stars.fits"
    ways = {
        "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
        "overwritten": _overwrite,
        "replaced": lambda path: os.replace(shutil.copy(path, f"{path}.new"), path),
        "removed": os.unlink,
    }
    return [
        _changed(f"spectra file {what}", way, model, source, folder)
        for what, way in ways.items()
    ]


def _changed(what, way, model, source, folder):
    """Change a copy of a spectra file after the first block was inferred."""
    path, out = folder / "changing.fits", folder / "labels.fits"
    shutil.copy(source, path)
    trained, calls = CannonModel.read(model), []

    def progress(_):
        if not calls:
            way(path)
        calls.append(1)

    try:
        with SpectraFile(path) as spectra:
            jobs.infer(trained, spectra, out, block=64, threads=1, progress=progress)
    except (FastcannonError, OSError) as error:
        well = not out.exists() and not temporaries(folder)
        return Check(what, well, " ".join(str(error).split()))
    jobs.infer(trained, SpectraFile(source), folder / "whole.fits", threads=1)
    same = out.read_bytes() == (folder / "whole.fits").read_bytes()
    out.unlink()
    return Check(what, same, "the labels of the file as it was" if same else "other")


def _overwrite(path):
    """Change the last spectra of a file in place."""
    with open(path, "r+b") as handle:
        handle.seek(path.stat().st_size // 3)
        handle.write(b"\x3f" * 4000)


# ---- lost workers


def lose_workers(command, out, chance):
    """Kill worker processes of a command while it goes on, as many as a task bears.

    Parameters
    ----------
    command : fault_ground.Command
    out : Path
    chance : random.Random

    Returns
    -------
    Check
    """
    process = start(command.prepare(out))
    killed, end = 0, time.monotonic() + 10 * command.seconds
    while killed < BORNE and process.poll() is None and time.monotonic() < end:
        time.sleep(chance.uniform(0.1, 0.7) * command.seconds / BORNE)
        workers = children(process.pid)
        if workers:
            os.kill(chance.choice(workers), 9)
            killed += 1
    _, said = process.communicate()
    same = process.returncode in DONE and contents(out) == command.expected
    return Check(f"{killed} workers of {command.name} killed", same, said[-300:])


def lose_dask_workers(ground, command, out, chance):
    """Kill workers of a Dask cluster that a run works on; their nannies start others.

    Returns
    -------
    Check
    """
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(n_workers=2, processes=True, **options) as cluster:
        arguments = ["run", ground.configuration(out), "-q"]
        process = start([*arguments, "--scheduler", cluster.scheduler_address])
        killed = 0
        while killed < BORNE and process.poll() is None:
            time.sleep(chance.uniform(0.1, 0.7) * command.seconds / BORNE)
            # Not while one starts: its nanny would give up.
            there = cluster.scheduler.workers
            pids = [
                n.pid for n in cluster.workers.values() if n.worker_address in there
            ]
            if len(pids) == 2 and process.poll() is None:
                os.kill(chance.choice(pids), 9)
                killed += 1
        _, said = process.communicate()
    same = process.returncode in DONE and contents(out) == command.expected
    return Check(f"{killed} Dask workers of run killed", same, said[-300:])


def start(arguments):
    """Start the program; its errors are kept."""
    return subprocess.Popen(
        program(arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def children(pid):
    """Return the worker processes of a program."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue  # it has ended
    return found


# ---- two at a time


def two_at_once(ground, command, translator, out):
    """Run, and meanwhile run again, report and translate in the same folder.

    Parameters
    ----------
    ground : fault_ground.Ground
    command : fault_ground.Command
        The run.
    translator : Path
    out : Path

    Returns
    -------
    list of Check
    """
    process = start(command.prepare(out))
    while not (out / "run.json").exists() and process.poll() is None:
        time.sleep(0.05)
    second = ended(command.prepare(out))
    refused = not refused_well(second) and "another run works" in second.stderr
    checks = [Check("run + run: the second is refused", refused, second.stderr)]
    others = {
        "report": ["report", out, "-q"],
        "translate apply": _applied(ground, translator, out),
    }
    codes = {name: [] for name in others}
    while process.poll() is None:
        for name, arguments in others.items():
            codes[name].append(ended(arguments))
    _, said = process.communicate()
    there = {n: d for n, d in contents(out).items() if n != "by-hand.fits"}
    same = process.returncode in DONE and there == command.expected
    for name, done in codes.items():
        failed = [one.stderr for one in done if one.returncode]
        what = f"run + {name}: {len(done)} while it runs"
        checks.append(Check(what, not failed and bool(done), "; ".join(failed)[-900:]))
    return [*checks, Check("the run among them: the same bytes", same, said[-300:])]


def _applied(ground, translator, out):
    """Return the arguments that translate a table into the folder of a run."""
    _, _, model, source, *_ = ground.translate_apply(ground.folder / "x", translator)
    result = out / "by-hand.fits"
    return ["translate", "apply", model, source, "-o", result, "-q"]
