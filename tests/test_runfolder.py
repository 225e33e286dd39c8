"""The folder of a run: its lock, its settings, and files that tell their origin."""

import json
from dataclasses import replace

import pytest
from astropy.io import fits
from astropy.table import Table
from small_run import load, write

from fastcannon import fitsfiles
from fastcannon.digests import digest, file_digest
from fastcannon.errors import InputError, WriteError
from fastcannon.locks import busy
from fastcannon.runfolder import (
    PLAN,
    STATE,
    RunFolder,
    finished,
    settings,
)

TEXT = """
[output]
folder = "run"
[surveys.apogee]
format = "apogee"
spectra = ["apogee/**/*.fits"]
catalogue = "apogee.fits"
extra_cuts = []
[surveys.galah]
format = "galah"
spectra = ["galah/**/*.fits"]
catalogue = "galah.fits"
[model]
folds = 12
"""


@pytest.fixture
def config(tmp_path):
    for name in ("apogee", "galah"):
        (tmp_path / f"{name}.fits").write_text(name)
    return load(write(tmp_path, TEXT))


def table_file(path, plan):
    table = Table({"id": ["a", "b"], "x": [1.0, 2.0]})
    fitsfiles.write_table(path, table, "THINGS", {PLAN: plan})


# ---- settings


def test_settings_are_plain_and_complete(config):
    found = settings(config)
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(found, default=str))
    for key in ("model.folds", "labels.names", "match.by", "surveys.galah.catalogue"):
        assert key in found
    for key in ("output", "path", "pack.processes", "surveys.galah.folder"):
        assert key not in found
    assert found["surveys.galah.catalogue"][:2] == ["galah.fits", 5]
    # All settings but those of `_FREE` are there: a new one cannot be forgotten.
    assert {key.split(".")[0] for key in found} == {
        *("version", "surveys", "pack", "match", "gaia", "labels", "model")
    }


def test_settings_change_with_what_matters_only(config, tmp_path):
    first = settings(config)
    assert settings(replace(config, output=tmp_path / "other")) == first
    assert settings(replace(config, pack=replace(config.pack, processes=7))) == first
    model = replace(config.model, seed=1)
    other = settings(replace(config, model=model))
    assert {key for key in first if first[key] != other[key]} == {"model.seed"}
    (tmp_path / "galah.fits").write_text("another")
    changed = settings(config)
    assert {k for k in first if first[k] != changed[k]} == {"surveys.galah.catalogue"}
    (tmp_path / "galah.fits").unlink()
    assert settings(config)["surveys.galah.catalogue"] == ["galah.fits", 0, 0]


def test_digests_tell_things_apart(tmp_path):
    assert digest(1, "a") == digest(1, "a") != digest("1a") != digest(["1a"])
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len(digest()) == 32
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x").startswith("ba7816bf8f01cfea")


# ---- the lock


def test_a_folder_is_made_locked_and_kept(config):
    folder = RunFolder(config)
    assert not busy(folder.path)
    with folder.locked():
        assert busy(folder.path)
        with pytest.raises(InputError, match="another run works in this folder; wait"):
            with RunFolder(config).locked():
                pass
        assert busy(folder.path)
    assert not busy(folder.path)
    kept = (config.output / STATE).read_bytes()
    with folder.locked():
        pass
    assert (config.output / STATE).read_bytes() == kept


def test_the_lock_is_free_after_an_error(config):
    with pytest.raises(RuntimeError):
        with RunFolder(config).locked():
            raise RuntimeError("anything")
    with RunFolder(config).locked():
        pass


def test_a_folder_that_cannot_be_made(config):
    config.output.write_text("a file")
    with pytest.raises(WriteError, match=r"run cannot be made .* give another folder"):
        with RunFolder(config).locked():
            pass
    assert config.output.read_text() == "a file"


def test_changed_settings_are_named_and_nothing_is_overwritten(config):
    with RunFolder(config).locked():
        pass
    kept = (config.output / STATE).read_bytes()
    model = replace(config.model, degree=1, folds=3, seed=1, starts=2, scatter="median")
    match = replace(config.match, by="gaia")
    other = replace(config, model=model, match=match)
    with pytest.raises(InputError) as caught:
        with RunFolder(other).locked():
            pass
    said = str(caught.value)
    assert "match.by was 'star_id' and is 'gaia'" in said
    assert "model.folds was 12 and is 3" in said and "and 1 more" in said
    assert (config.output / STATE).read_bytes() == kept
    assert not busy(config.output)


def test_settings_that_cannot_be_read(config):
    with RunFolder(config).locked():
        pass
    (config.output / STATE).write_text("{")
    with pytest.raises(InputError, match=r"run.json cannot be read .*; remove it"):
        with RunFolder(config).locked():
            pass


def test_what_killed_runs_left_half_written_is_removed(config):
    labels = config.output / "labels" / "a-on-b"
    packed = config.output / "packed" / "a"
    for folder in (labels, packed):
        folder.mkdir(parents=True)
        (folder / ".part-00000.fits.0123.tmp").touch()
        (folder / "part-00000.fits").touch()
    with RunFolder(config).locked():
        there = {path.relative_to(config.output) for path in labels.rglob("*")}
        assert {path.name for path in there} == {"part-00000.fits"}
        # A packing may be at work there; it has a lock of its own.
        assert len(list(packed.iterdir())) == 2


def test_the_log_has_the_time_before_each_line(config):
    folder = RunFolder(config)
    with folder.locked():
        folder.log("one\ntwo")
        folder.log("")
        folder.log("three")
    lines = (config.output / "run.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["one", "two", "three"]
    assert all(len(line.split(" ")[0]) == 10 for line in lines)


# ---- files that tell what they were made from


def test_a_finished_file_is_whole_and_of_its_plan(tmp_path):
    path = tmp_path / "x.fits"
    assert not finished(path, "THINGS", "plan")
    table_file(path, "plan")
    assert finished(path, "THINGS", "plan")
    assert not finished(path, "OTHER", "plan")
    with pytest.raises(InputError, match=r"x.fits was made .*PLAN is plan; new expect"):
        finished(path, "THINGS", "new")
    content = path.read_bytes()
    for damaged in (content[:-2880], content[:100], b"", content.replace(b"a", b"q")):
        path.write_bytes(damaged)
        assert not finished(path, "THINGS", "plan")


def test_a_damaged_file_of_another_plan_is_made_again(tmp_path):
    """Whether it can be used is asked first: nobody misses it."""
    path = tmp_path / "x.fits"
    table_file(path, "old")
    path.write_bytes(path.read_bytes()[:-1])
    assert not finished(path, "THINGS", "new")


def test_a_file_without_a_plan_is_refused(tmp_path):
    fitsfiles.write_table(tmp_path / "x.fits", Table({"x": [1]}), "THINGS")
    assert PLAN not in fits.getheader(tmp_path / "x.fits")
    with pytest.raises(InputError, match="PLAN is None"):
        finished(tmp_path / "x.fits", "THINGS", "plan")
