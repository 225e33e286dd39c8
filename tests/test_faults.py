"""Faults in small numbers: bits flipped, disks full, files changed, work stopped.

``make reliability`` does the same a thousand times; kills and second runs are also in
test_restart. The programs of both are those of bench/, which stands in the repository.
"""

import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from small_run import contents, copied, go

from fastcannon import CannonModel, write_spectra

FLIPS = 160


@pytest.fixture(scope="module")
def bench():
    """The modules of the long versions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1])
        names = ("ground", "kills", "flips", "stops", "pictures")
        yield SimpleNamespace(
            **{name: importlib.import_module(f"bench.fault_{name}") for name in names}
        )


@pytest.fixture(scope="module")
def ground(bench, done, tmp_path_factory):
    return bench.ground.Ground(tmp_path_factory.mktemp("ground"), done.text)


@pytest.fixture(scope="module")
def run(bench, ground, done):
    """The command run, whose undisturbed result is that of the session."""
    expected = bench.ground.contents(done.folder)
    return bench.ground.Command("run", ground.run, expected, done.folder, 12.0)


@pytest.fixture(scope="module")
def pack(bench, ground, run):
    """The command pack, which makes the first files of a run."""
    expected = {n: d for n, d in run.expected.items() if n.startswith("packed/")}
    return bench.ground.Command("pack", ground.pack, expected, run.folder, 3.0)


@pytest.fixture(scope="module")
def train(bench, ground):
    return bench.kills.measured("train", ground.train, ground.folder)


# ---- flipped bits


def test_no_flipped_bit_changes_a_value_in_silence(bench, ground, done, tmp_path):
    shutil.copytree(done.folder, tmp_path / "run")
    _, model = small_spectra(tmp_path)
    single = {"spectra": tmp_path / "s.fits", "table": ground.folder / "common.ecsv"}
    found = bench.flips.kinds(tmp_path / "run", single)
    found["model"] = ([*found["model"][0], model], found["model"][1])
    assert all(paths for paths, _ in found.values())
    flips = bench.flips.flip_all(found, FLIPS, np.random.default_rng(0))
    counts = Counter(flip.outcome for flip in flips)
    wrong = [f for f in flips if f.outcome not in ("detected", "harmless")]
    assert not wrong, wrong[:3]
    assert counts["detected"] > 0.7 * FLIPS  # 155 of 160 were: almost all is covered
    # Every bit was put back.
    assert bench.ground.contents(tmp_path / "run") == bench.ground.contents(done.folder)


def test_a_reader_that_looks_at_nothing_would_be_found_out(bench, tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("1.5 2.5 3.5\n" * 20)
    found = {"text": ([path], np.loadtxt)}
    flips = bench.flips.flip_all(found, 60, np.random.default_rng(0))
    assert {flip.outcome for flip in flips} >= {"silent", "crash"}


def small_spectra(folder):
    """Write a spectra file and a model trained on it; return their paths."""
    rng = np.random.default_rng(0)
    labels = rng.uniform(0, 1, (60, 1))
    flux = 1 - 0.2 * labels * rng.uniform(0, 1, 50) + 1e-3 * rng.normal(size=(60, 50))
    ivar, grid = np.full(flux.shape, 1e6), 5000 + np.arange(50.0)
    stars = {"id": list(map(str, range(60))), "x": labels[:, 0]}
    write_spectra(folder / "s.fits", flux, ivar, grid, stars, normalised=True)
    model = CannonModel(("x",), degree=1)
    model.train(labels, flux, ivar, wavelength=grid)
    model.write(folder / "m.fits")
    return folder / "s.fits", folder / "m.fits"


# ---- told to stop, killed


def test_work_told_to_stop_says_one_line_and_goes_on(bench, run, pack, tmp_path):
    for command, what in ((pack, signal.SIGTERM), (run, signal.SIGINT)):
        out = stopped_halfway(bench, command, tmp_path / command.name, what)
        assert bench.ground.halves(out, run.expected) == []
        assert not bench.ground.temporaries(out / "packed")
        assert bench.kills.finished(command, out) == []


def stopped_halfway(bench, command, folder, what):
    """Stop a command sooner and sooner, until it had not ended; return its folder."""
    moment, stopped = 0.8 * command.seconds, False
    while not stopped:
        moment *= 0.7
        out = folder / f"after-{moment:.3f}-s"
        stopped, wrong = bench.kills.stop(command.prepare(out), moment, what)
        assert wrong == []
    return out


def test_a_training_killed_leaves_a_whole_model_or_none(bench, train, tmp_path):
    kills = bench.kills.disturb(train, tmp_path, 2, random.Random(0))
    assert [kill.outcome for kill in kills] == [bench.kills.SAME] * 2


# ---- full disks


def test_full_disks_are_told_in_one_line_and_resumed(bench, pack, train, tmp_path):
    """A limit on the size of files stands for the disk, which only root could mount."""
    found = [
        bench.stops.fill_files(train, tmp_path / "train", 50_000),
        bench.stops.fill_files(pack, tmp_path / "pack", 400_000),
    ]
    assert [one.outcome for one in found] == [bench.stops.KEPT] * 2


# ---- files that change


def test_spectra_that_change_are_refused_or_read_as_they_were(
    bench, ground, train, tmp_path
):
    model = train.folder / "model.fits"
    checks = bench.stops.changes(ground, model, tmp_path)
    assert [check for check in checks if not check.well] == []
    said = {check.what: check.said for check in checks}
    assert "are missing" in said["spectra file cut"]
    assert "not the file that was opened" in said["spectra file overwritten"]


# ---- lost workers


@pytest.mark.filterwarnings("ignore:.*training stars for:UserWarning")
def test_a_dask_worker_that_is_killed_is_replaced(done, tmp_path):
    distributed = pytest.importorskip("distributed")
    inferred = ("labels", "stars", "catalogues", "calibration", "manifest.sha256")
    path, killed = copied(done, tmp_path, *inferred), []

    def bar(total, unit):
        def kill_one(count):
            if unit == "spectra" and count and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        return nullcontext(SimpleNamespace(update=kill_one))

    options = {"processes": True, "dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, **options
    ) as cluster:
        go(path, bar, address=cluster.scheduler_address)
    assert killed and contents(tmp_path / "run") == contents(done.folder)


# ---- the page


def test_the_page_is_made_of_the_results(bench, tmp_path, monkeypatch):
    faults = importlib.import_module("bench.faults")
    kill = {"command": "run", "signal": "SIGKILL", "seconds": 3.0, "share": 0.2}
    flip = {"kind": "model", "file": "m.fits", "byte": 3, "bit": 1, "said": ""}
    found = {
        "kills": [
            kill | {"step": "training", "outcome": "same bytes"},
            kill | {"step": "packing", "outcome": "same bytes", "signal": "SIGINT"},
        ],
        "flips": [
            flip | {"outcome": "detected"},
            flip | {"outcome": "silent", "kind": "labels"},
        ],
        "fills": [{"command": "run", "share": 0.2, "outcome": bench.stops.KEPT}],
        "checks": [{"what": "file cut", "well": True, "said": ""}],
        "mounted": True,
        "minutes": 1,
        "machine": "a machine",
    }
    assert faults.not_well(found) == [found["flips"].pop()]
    assert faults.not_well(found) == []
    (tmp_path / "pictures").mkdir()
    reliability = importlib.import_module("bench.reliability")
    monkeypatch.setattr(reliability, "DOCS", tmp_path)
    monkeypatch.setattr(faults, "PAGE", tmp_path / "reliability.md")
    faults.write_page(found)
    text = (tmp_path / "reliability.md").read_text()
    assert "**1 of 1 did.**" in text and "**0 gave other values in silence**" in text
    for name in ("kills", "stops", "flips", "disks", "checks"):
        path = tmp_path / "pictures" / f"reliability-{name}.png"
        assert f"(pictures/{path.name})" in text and path.stat().st_size < 60_000


DRAWING = """
import signal, sys, time
from pathlib import Path
from fastcannon.report.book import Book

if __name__ == "__main__":
    # Ignored in programs that a script starts in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Book(None, Path(sys.argv[1])) as book:
        for number in range(16):
            book.figure(f"figure-{number}", "", "", time.sleep, 1.0)
        for job in list(book._drawn.values())[:5]:
            job.exception()  # all workers have started
        print("drawing", flush=True)
"""


def test_a_report_ends_that_is_stopped_while_its_last_figures_are_drawn(tmp_path):
    program = tmp_path / "drawing.py"  # a file: the workers read it, too
    program.write_text(DRAWING)
    with subprocess.Popen(
        [sys.executable, program, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "drawing\n"
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in said


TRAINING = """
import os, signal, sys, threading
from fastcannon.cli import main
from fastcannon.translate import training

begin = training._Batches.__call__

def stopped_soon(batches):
    training._Batches.__call__ = begin
    second = float(sys.argv[1])
    threading.Timer(second, os.kill, (os.getpid(), signal.SIGTERM)).start()
    return begin(batches)

training._Batches.__call__ = stopped_soon  # an epoch is compiled just then
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("second", [0.8, 1.0, 1.2])
def test_a_translator_stopped_while_it_is_compiled_ends_in_order(second, tmp_path):
    pytest.importorskip("optax", reason="fastcannon[translate] is not installed")
    rng = np.random.default_rng(0)
    given = rng.normal(size=(400, 2))
    columns = [*given.T, *(given + rng.normal(0, 0.1, given.shape)).T]
    Table(columns, names=("u_a", "w_a", "u_b", "w_b")).write(tmp_path / "stars.ecsv")
    command = ["translate", "train", tmp_path / "stars.ecsv", "-o", tmp_path / "m.fits"]
    columns = ["--inputs", "u_a", "w_a", "--outputs", "u_b", "w_b", "--ensemble", "3"]
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, str(second), *command, *columns, "-q"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr == "fastcannon: stopped; files that are finished are kept\n"


ENDING = """
import atexit, runpy, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)

def tidy_up():
    print("done", flush=True)
    time.sleep(1)

atexit.register(tidy_up)
sys.argv = ["fastcannon", "init", sys.argv[1], "-q"]
runpy.run_module("fastcannon", run_name="__main__")
"""


@pytest.mark.parametrize("what", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_after_the_work_is_done_comes_too_late(what, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", ENDING, tmp_path / "f.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "done\n"
            process.send_signal(what)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said) == (0, "")
    assert (tmp_path / "f.toml").exists()
