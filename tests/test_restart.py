"""A run may be killed, spoilt, distributed or started twice: the same bytes or none."""

import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from pyarrow import parquet
from small_run import PART, contents, copied, go, load, small_parts, write

from fastcannon import CannonModel, cases, scheduler
from fastcannon.catalogue_files import check_manifest
from fastcannon.cli import main
from fastcannon.errors import InputError
from fastcannon.locks import busy
from fastcannon.runfolder import PLAN, RunFolder
from fastcannon.status import status as lines_of

pytestmark = pytest.mark.filterwarnings("ignore:.*training stars for:UserWarning")

PROGRAM = f"""
import sys
from fastcannon import config
from fastcannon.cli import main
config.PART_STEP = {PART}
if __name__ == "__main__":
    sys.exit(main(["run", sys.argv[1], "--quiet", "--workers", "2"]))
"""
INFERRED = ("labels", "stars", "catalogues", "calibration")


# ---- again


def test_a_second_run_ends_in_the_same_bytes(done, tmp_path, capsys):
    path = copied(done, tmp_path)
    before = contents(tmp_path / "run")
    assert before == contents(done.folder)
    with small_parts():
        code = main(["run", str(path), "--workers", "1"])
    assert code == 3  # all done, but stars that miss an arm were refused
    assert contents(tmp_path / "run") == before
    assert check_manifest(tmp_path / "run" / "manifest.sha256") == []
    lines = manifest(tmp_path / "run")
    assert lines == manifest(done.folder)
    said = capsys.readouterr().out
    assert "3 files, 3 of them kept from an earlier run" in said


def manifest(folder):
    """Return the lines of a manifest but that of the log, which has the time."""
    lines = (folder / "manifest.sha256").read_text().splitlines()
    return [line for line in lines if not line.endswith("run.log")]


def test_what_is_damaged_or_gone_is_made_again(done, tmp_path):
    path = copied(done, tmp_path)
    folder = tmp_path / "run"
    labels = folder / "labels"
    (labels / "apogee-on-galah" / "part-00001.fits").unlink()
    damage(labels / "galah-on-galah" / "part-00000.fits", 9000)
    partition = folder / "catalogues" / "apogee-scaled" / "galah-00001.parquet"
    damage(partition, place_of_values(partition))
    damage(folder / "models" / "galah-on-apogee.fits", 200_000)
    damage(folder / "validation" / "apogee-on-apogee.fits", 6000)
    cut_short(folder / "stars" / "apogee" / "part-00002.fits")
    cut_short(folder / "catalogues" / "galah-scaled.fits")
    (folder / "packed" / "galah" / "part-00002.fits").unlink()
    (folder / "factors.ecsv").unlink()
    (folder / "summary.json").write_text("{")
    kept = labels / "galah-on-galah" / "part-00001.fits"
    when = kept.stat().st_mtime_ns
    summary, _ = go(path)
    assert contents(folder) == contents(done.folder)
    assert summary == done.summary
    assert kept.stat().st_mtime_ns == when  # what was good was not touched


def damage(path, place):
    content = bytearray(path.read_bytes())
    assert place < len(content)
    content[place] ^= 0xFF
    path.write_bytes(content)


def place_of_values(path):
    """Return a place of values; what stands between them, nobody may read."""
    column = parquet.ParquetFile(path).metadata.row_group(0).column(0)
    return column.dictionary_page_offset + column.total_compressed_size - 2


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-2000])


# ---- killed


def test_a_run_killed_three_times_ends_in_the_same_bytes(done, tmp_path):
    path = write(tmp_path, done.text)
    folder, rng = tmp_path / "run", np.random.default_rng(7)
    total = len(contents(done.folder))
    # Moments are numbers of files, so that a busy machine does not move them.
    for moment in np.sort(rng.integers(1, int(0.9 * total), 3)):
        process = start(path)
        wait_for_files(process, folder, moment)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        assert process.wait() == -signal.SIGKILL, f"finished before {moment} files"
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True
    )
    assert said.returncode == 3, said.stderr
    assert contents(folder) == contents(done.folder)
    assert not list(folder.rglob(".*.tmp"))
    assert manifest(folder) == manifest(done.folder)


def start(path):
    command = [sys.executable, "-c", PROGRAM, str(path)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for_files(process, folder, count):
    """Wait until a run has written so many files, or has ended."""
    while process.poll() is None:
        if sum(path.is_file() for path in folder.rglob("*.*")) >= count:
            return
        time.sleep(0.01)


def test_the_loss_of_a_worker_is_survived(done, tmp_path, caplog):
    path = copied(done, tmp_path, *INFERRED)
    killed = []

    def bar(total, unit):
        def kill_one(count):
            """Kill a worker after the first part; the other spectra are in work."""
            if unit == "spectra" and count and not killed:
                killed.append(multiprocessing.active_children()[-1].pid)
                os.kill(killed[0], signal.SIGKILL)

        return nullcontext(SimpleNamespace(update=kill_one))

    with caplog.at_level(logging.WARNING, "fastcannon"):
        go(path, bar, workers=2)
    assert killed and "worker process lost" in caplog.text
    assert contents(tmp_path / "run") == contents(done.folder)


# ---- distributed


def test_a_cluster_gives_the_same_bytes(done, tmp_path):
    distributed = pytest.importorskip("distributed")
    path = copied(done, tmp_path, *INFERRED)
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",  # any free port
        silence_logs=logging.CRITICAL,
    ) as cluster:
        go(path, address=cluster.scheduler_address)
    assert contents(tmp_path / "run") == contents(done.folder)


def test_a_scheduler_that_does_not_answer(done, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 0.5)
    path = copied(done, tmp_path)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127.0"):
        go(path, address="tcp://127.0.0.1:9")
    assert contents(tmp_path / "run") == contents(done.folder)
    assert not busy(tmp_path / "run")


# ---- refused


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("folds = 3", "folds = 4", "model.folds was 3 and is 4"),
        ("starts = 2", "starts = 3", "model.starts was 2 and is 3"),
        ("visits = true", "visits = false", "surveys.apogee.options.visits was True"),
        ('"logg", ', "", "labels.names was .*'logg'"),
        (
            "[match]",
            '[surveys.galah.cuts]\nsnr = "> 9"\n[match]',
            r"surveys.galah.cuts",
        ),
        ('\n[gaia]\ntable = "', '\n[gaia]\n#table = "', "gaia.table was"),
    ],
)
def test_changed_settings_are_refused_by_their_keys(done, tmp_path, old, new, said):
    path = copied(done, tmp_path)
    write(tmp_path, done.text, (old, new))
    with pytest.raises(InputError, match=f"made with other settings: .*{said}"):
        go(path)
    assert contents(tmp_path / "run") == contents(done.folder)


def test_a_changed_catalogue_is_refused(done, tmp_path):
    """Its time of change tells."""
    path = copied(done, tmp_path)
    galah = done.surveys / "galah" / "GALAH_DR3_main_allstar_v2.fits"
    (tmp_path / galah.name).write_bytes(galah.read_bytes())
    write(tmp_path, done.text, (str(galah), galah.name))
    with pytest.raises(InputError, match=r"settings: surveys.galah.catalogue was"):
        go(path)


def test_how_the_work_is_done_may_change(done, tmp_path):
    path = copied(done, tmp_path)
    write(tmp_path, done.text, ("processes = 1", "processes = 2"))
    (tmp_path / "elsewhere").mkdir()
    path = path.rename(tmp_path / "elsewhere" / "other.toml")
    text = path.read_text().replace('"run"', f'"{tmp_path}/run"')
    path.write_text(text)
    go(path)
    assert contents(tmp_path / "run") == contents(done.folder)


def test_labels_of_another_model_are_not_mixed(done, tmp_path):
    path = copied(done, tmp_path)
    file = tmp_path / "run" / "models" / "apogee-on-galah.fits"
    plan = fits.getheader(file)[PLAN]
    model = CannonModel.read(file)
    model.theta = model.theta * 1.001
    model.write(file, {PLAN: plan})
    before = contents(tmp_path / "run")
    expected = r"labels/apogee-on-galah/part-00000.fits was made from other spectra"
    with pytest.raises(InputError, match=expected):
        go(path)
    assert contents(tmp_path / "run") == before
    model.write(file, {PLAN: "0" * 32})
    with pytest.raises(InputError, match=r"models/apogee-on-galah.fits was made from"):
        go(path)


def test_changed_spectra_are_not_mixed(done, tmp_path):
    """Fewer spectra than before: parts are packed again, and no label fits them."""
    path = copied(done, tmp_path)
    for part in (tmp_path / "run" / "packed").rglob("part-*.fits"):
        content = part.read_bytes()  # a link's target would be replaced
        part.unlink()
        part.write_bytes(content)
    changed = write(tmp_path, done.text, ("a[ps]Star-*", "a[ps]Star-*-2M0*"))
    with pytest.raises(InputError, match=r"surveys.apogee.spectra was"):
        go(changed)
    (tmp_path / "run" / "run.json").unlink()  # a user who will not listen
    with pytest.raises(InputError, match=r"was made from other spectra, labels, sett"):
        go(path)


@pytest.mark.parametrize(
    "old, new",
    [
        ("folds = 3", "folds = 4"),
        ("[match]", "[surveys.apogee.continuum]\norder = 2\n[match]"),
        ("[match]", "[surveys.galah.continuum]\npasses = 1\n[match]"),
    ],
)
def test_models_of_other_settings_are_not_kept(done, tmp_path, old, new):
    """A user who removes run.json, as the error of one that is torn says."""
    copied(done, tmp_path)
    path = write(tmp_path, done.text, (old, new))
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(InputError, match=r"was made from other spectra, labels, sett"):
        go(path)


def test_a_model_is_made_from_the_labels_of_both_surveys(done, tmp_path):
    """Continuum pixels are found with the survey's own, whatever it is trained on."""
    config = load(copied(done, tmp_path))
    apogee, galah = config.surveys.values()
    training = Table.read(tmp_path / "run" / "training.fits")
    scale = cases.labels_of(training, config.labels.names, galah.name)
    model = tmp_path / "run" / "models" / "apogee-on-galah.fits"
    plan = cases._plan(config, apogee, training, scale)
    assert plan == fits.getheader(model)[PLAN]
    training["teff_apogee"][0] += 1
    assert plan != cases._plan(config, apogee, training, scale)


def test_two_runs_in_one_folder(done, tmp_path):
    path = copied(done, tmp_path)
    with RunFolder(load(path)).locked():
        with pytest.raises(InputError, match="another run works in this folder"):
            go(path)
        assert "a run works here now" in lines_of(load(path))[0]
    assert contents(tmp_path / "run") == contents(done.folder)
    assert lines_of(load(path))[0].endswith("no run")


# ---- status


def test_status_before_during_and_after(done, tmp_path, capsys):
    def status():
        with small_parts():
            assert main(["run", str(path), "--status"]) == 0
        text = capsys.readouterr().out
        return dict(re.split(r"  +", line) for line in text.splitlines()[1:])

    path = write(tmp_path, done.text)
    before = status()
    assert not (tmp_path / "run").exists()
    assert before["packed/apogee"] == "0 of ? parts" and before["models"] == "0 of 4"
    assert before["manifest.sha256"] == before["catalogues/galah-scaled.fits"]
    missing = ("catalogues", "manifest.sha256", "part-00001.fits", "*-galah")
    copied(done, tmp_path, *missing)
    during = status()
    assert during["packed/galah"] == "3 of 3 parts"
    assert during["labels/galah-on-apogee"] == "2 of 3 parts"
    assert during["labels/galah-on-galah"] == "0 of 3 parts"
    assert during["models"] == "4 of 4"
    assert during["catalogues/galah-scaled.fits"] == "not yet"
    with small_parts():
        after = lines_of(done.config)
    assert "3 of 3 parts" in after[-4] and after[-1].endswith("finished")
