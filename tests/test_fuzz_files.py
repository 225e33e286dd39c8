"""Any file that a reader or a command may be given: read, or refused in words.

The edits are those of bench/fuzz.py, which looks for more of them by coverage.
"""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_run import copied
from strategies import EDITS, altered_text, documented

from bench import fuzz_seeds
from bench.fuzz_targets import TARGETS, Seeds
from fastcannon.cli import main
from fastcannon.runfolder import read_timings

SURVEYS = ("apogee", "galah", "allstar", "allspec", "table")
TEXTS = sorted(name for name, read in TARGETS.items() if read.is_text)
OURS = ("spectra", "packed", "labels", "partition")
ALLOWED_CODES = {0, 1, 2, 3, 130}
# Edits that broke a reader once (docs/reliability.md); groups of 8 bytes.
ONCE = {
    "labels": ["fb40ff02beffffff", "53ffffff0000000000000000"],
    "packed": ["4c4c4c4c4c9f4c4c4c4c4c4c4c4c4c4c4c01000000000000004c4c4cb32ab3bb"],
    "allstar": ["5b040000484801a148bf"],
    "translator": ["2bf93a4000a93f0a"],
    "partition": ["fdfdfdfdfdfdfdfdfdfddd00fd00fdfd"],
}
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return Seeds(tmp_path_factory.mktemp("seeds"))


@pytest.mark.parametrize("name", [*OURS, *SURVEYS])
@given(edits=EDITS)
def test_damaged_files(seeds, name, edits):
    with documented():
        TARGETS[name](seeds, edits)


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=25)
@given(data=st.data())
def test_altered_texts(seeds, name, data):
    text = data.draw(altered_text(fuzz_seeds.TEXTS[TARGETS[name].name]))
    with documented():
        TARGETS[name](seeds, text.encode("utf-8", "replace"))


@pytest.mark.parametrize("name", ONCE)
def test_edits_that_broke_a_reader_once(seeds, name):
    for edits in ONCE[name]:
        with documented():
            TARGETS[name](seeds, bytes.fromhex(edits))


def test_points_that_are_only_comments(seeds):
    with documented():
        TARGETS["isochrones"](seeds, b"# MH logAge logTe logg\n #\n")


def test_models_and_translators_never_end_the_interpreter(tmp_path):
    """Kernels have no bounds, so a process of its own, of little memory, reads them."""
    pytest.importorskip("optax", reason="fastcannon[translate] is not installed")
    chance = random.Random(3)
    edits = [chance.randbytes(8 * chance.randint(1, 3)).hex() for _ in range(60)]
    code = (
        "import sys, resource, warnings\n"
        "from bench.fuzz_targets import TARGETS, Seeds\n"
        "from bench.peaks import own_peak\n"
        "from fastcannon import FastcannonError\n"
        "warnings.simplefilter('ignore')\n"
        "seeds = Seeds(sys.argv[1])\n"
        "reads = TARGETS['model'], TARGETS['translator']\n"
        "for read in reads:\n"
        "    read(seeds, b'')\n"
        "resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2)\n"
        "for number, edits in enumerate(sys.argv[2:]):\n"
        "    try:\n"
        "        reads[number % 3 // 2](seeds, bytes.fromhex(edits))\n"
        "    except FastcannonError:\n"
        "        pass\n"
        "print(own_peak())\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *edits],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert float(found.stdout) < 0.9  # GiB; measured 0.644, and 0.640 without damage


# ---- run folders and commands


def command(capsys, *arguments):
    """Run a command; it must end as documented, and say why in few lines."""
    try:
        code = main([*map(str, arguments)])
    except SystemExit as error:  # of argparse
        code = error.code
    said = capsys.readouterr().err
    assert code in ALLOWED_CODES and "Traceback" not in said, said
    if code == 2:
        assert "error:" in said
    return code


@pytest.mark.parametrize(
    "name", ["run.json", "summary.json", "timings.json", "factors.ecsv"]
)
def test_a_run_folder_of_altered_texts(done, tmp_path, capsys, name):
    config = copied(done, tmp_path)
    path = tmp_path / "run" / name
    good = path.read_text() if path.exists() else '{"a": {"cannon": {"training": 1}}}'
    read_timings(tmp_path / "run")

    @settings(max_examples=8)
    @given(altered_text(good))
    def look(text):
        path.write_text(text, encoding="utf-8", errors="replace")
        command(capsys, "run", config, "--status")
        read_timings(tmp_path / "run")

    look()
    path.write_text("[]")
    assert command(capsys, "run", config, "--status") in ALLOWED_CODES


def test_every_command_with_damaged_files(seeds, tmp_path, capsys):
    names = ("model.fits", "stars.fits", "labels.fits", "config.toml", "members.csv")
    good = [seeds.folder / name for name in names if seeds.content(name)]
    chance = random.Random(7)
    for number in range(12):
        files = {path.name: tmp_path / path.name for path in good}
        for path in good:
            shutil.copy(path, files[path.name])
        spoilt = chance.choice(names)
        content = bytearray(files[spoilt].read_bytes())
        place = chance.randrange(len(content))
        content[place : place + chance.randint(0, 9)] = chance.randbytes(number % 5)
        files[spoilt].write_bytes(content)
        model, stars, labels, config, members = files.values()
        out = tmp_path / "out.fits"
        for arguments in (
            ("info", chance.choice([model, stars, labels, config, members])),
            ("infer", model, stars, "-o", out, "--starts", "2", "--quiet"),
            ("train", stars, "--labels", "teff", "--degree", "1", "-o", out),
            ("validate", stars, "--labels", "teff", "--degree", "1", "--folds", "2"),
            (chance.choice(["run", "pack", "match"]), config),
            ("report", tmp_path, "--members", members),
            ("translate", "apply", chance.choice([model, labels]), labels, "-o", out),
        ):
            command(capsys, *arguments)


@pytest.mark.parametrize("action", ["info", "train", "infer", "run", "report"])
def test_words_that_are_no_files(capsys, tmp_path, action, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = ["\u00e9\u2603.fits", "a" * 300, ".", "-"]
    for word in odd:
        assert command(capsys, action, word, *(["x"] if action == "infer" else [])) == 2
    assert not os.listdir(tmp_path)
