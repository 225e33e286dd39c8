"""Runs that nobody watches: odd files, gone readers, other programs, accidents."""

import os
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from small_run import copied, go

from fastcannon import (
    cases,
    commands,
    fitsfiles,
    fitsheaders,
    jobs,
    kinds,
    locks,
    plots,
    run,
    sources,
)
from fastcannon.cli import main
from fastcannon.errors import InputError, TrainingWarning
from fastcannon.labelfiles import scaled_labels
from fastcannon.normalise import Normaliser
from fastcannon.report import build
from fastcannon.report.book import Book
from fastcannon.report.glance import glance
from fastcannon.report.rundata import RunData
from fastcannon.result import UNKNOWN
from fastcannon.runfolder import RunFolder
from fastcannon.spectra import SpectraFile
from fastcannon.spectrawriter import write_spectra
from fastcannon.textfiles import read_json, write_json

# ---- parts and catalogues without rows


def test_a_part_without_rows_has_no_labels_to_offer(tmp_path):
    row = Table({"id": ["a"], "status": [0], "teff": [5000.0]})
    paths = [tmp_path / "none.fits", tmp_path / "one.fits"]
    for path, rows in zip(paths, (row[:0], row), strict=True):
        fitsfiles.write_table(path, rows, kinds.LABELS)
    found = scaled_labels(paths, ["b", "a"], ["teff"])["teff"]
    np.testing.assert_array_equal(found, [np.nan, 5000.0])
    assert np.isnan(scaled_labels(paths[:1], ["a"], ["teff"])["teff"]).all()


def test_a_catalogue_without_rows_knows_no_star():
    table = Table({"id": np.array(["x"]), "star_id": np.array(["s"])})
    found = sources._look_up(np.array([b"x", b"y"]), [table[:0], table])
    assert found.tolist() == [b"s", b""]


# ---- pixels that are no numbers


@pytest.mark.parametrize("order", [None, 0])
def test_bad_pixels_are_counted_whatever_the_normalisation(tmp_path, order):
    rng = np.random.default_rng(0)
    grid = np.linspace(5000.0, 5010.0, 60)
    flux = 1 + 0.01 * rng.normal(size=(7, 60))
    flux[2, 3:5], flux[4, 9] = np.nan, np.inf
    write_spectra(
        tmp_path / "s.fits",
        *(flux, np.full((7, 60), 1e4), grid, {"id": list("abcdefg")}),
        normalised=True,
    )
    pixels = np.full(60, order is not None)
    normaliser = Normaliser(grid, pixels, [(grid[0], grid[-1])], order, 0.0)
    model = SimpleNamespace(
        normaliser=normaliser, s2=np.zeros(60), wavelength=grid, label_names=("x",)
    )
    theta = np.column_stack([np.ones(60), 0.1 * rng.normal(size=60)])
    inferrer = _inferrer(theta)
    path = tmp_path / "labels.fits"
    with SpectraFile(tmp_path / "s.fits") as spectra, warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared = [jobs.Prepared(model, inferrer)]
        _, bad = jobs.infer_all(prepared, spectra, [path], [{}], block=3, threads=1)
    assert bad == fits.getheader(path)[kinds.BAD_PIXELS] == 3
    fitsheaders.verify_checksums(path)


def _inferrer(theta):
    from fastcannon import CannonModel

    model = CannonModel.from_coefficients(
        ("x",), theta, np.zeros(len(theta)), [0.0], [1.0], terms=["x"]
    )
    return model.inferrer(1, 7)


def test_a_run_says_how_many_pixels_were_bad(done):
    assert done.summary["bad pixels"] == {"apogee": 0, "galah": 0}


# ---- readers that have gone


def test_a_run_ends_though_nobody_reads_what_it_says(done, tmp_path, monkeypatch):
    def run_all(config, say, *_):
        for number in range(3):
            say(f"line {number}")
            finished.append(number)
        return {"refused": {}}

    finished = []
    monkeypatch.setattr(run, "run_all", run_all)
    monkeypatch.setattr(commands, "progress", None)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        from small_run import small_parts

        with small_parts():
            assert main(["run", str(done.path)]) == 0
        assert main(["init", str(tmp_path / "x.toml")]) == 0
    assert finished == [0, 1, 2] and (tmp_path / "x.toml").exists()


def test_a_quiet_run_says_nothing(done, capsys, monkeypatch):
    def run_all(config, say, *_):
        say("all is well")
        return {"refused": {}}

    from small_run import small_parts

    monkeypatch.setattr(run, "run_all", run_all)
    with small_parts():
        assert main(["run", str(done.path)]) == 0
        assert capsys.readouterr().out == "all is well\n"
        assert main(["run", str(done.path), "-q"]) == 0
    assert capsys.readouterr().out == ""


# ---- files of others


def test_only_what_runs_leave_is_swept(done, tmp_path):
    ours = ("models/.a-on-b.fits.0123.tmp", ".summary.json.0123.tmp")
    ours += ("labels/a-on-b/.part-00000.fits.0123.tmp", ".factors.ecsv.0123.tmp")
    others = ("report/figures/.x.png.0123.tmp", ".mine.tmp", "work/.x.fits.0123.tmp")
    others += ("packed/apogee/.part-00000.fits.0123.tmp", ".model.fits.0123.tmp")
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folder = RunFolder(done.config)
    folder.path = tmp_path
    folder.sweep()
    assert not any((tmp_path / name).exists() for name in ours)
    assert all((tmp_path / name).exists() for name in others)


def test_a_figure_that_cannot_be_drawn_leaves_the_one_before(tmp_path, monkeypatch):
    class Broken:
        def savefig(self, path, **_):
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device", str(path))

    rng = np.random.default_rng(0)
    stars = {"id": list(map(str, range(40))), "x": rng.uniform(0, 1, 40)}
    flux = 1 - 0.2 * stars["x"][:, None] * rng.uniform(0, 1, 30)
    flux += 1e-3 * rng.normal(size=flux.shape)
    path, figure = tmp_path / "s.fits", tmp_path / "f.png"
    grid = np.arange(30.0) + 5000
    write_spectra(path, flux, np.full(flux.shape, 1e6), grid, stars, normalised=True)
    figure.write_bytes(b"before")
    monkeypatch.setattr(plots, "one_to_one", lambda *_: Broken())
    asked = ["--labels", "x", "--figure", str(figure), "--folds", "2", "--degree", "1"]
    code = main(["validate", str(path), *asked, "-q"])
    assert code == 2 and figure.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.png", "s.fits"]


# ---- folders of untrusted people


def test_names_in_a_run_stay_in_its_folder(done, tmp_path):
    copied(done, tmp_path, "catalogues", "labels")
    path = tmp_path / "run" / "run.json"
    found = read_json(path)
    found["match.surveys"] = ["x/../../../../evil", "galah"]
    write_json(path, found)
    with pytest.raises(InputError, match=r"run.json does not name two surveys"):
        RunData.read(tmp_path / "run")
    book = Book(None, tmp_path)
    for name in ("../evil", "a/b", "/evil"):
        with pytest.raises(ValueError, match="outside the report's folder"):
            book.figure(name, "", "", None)


@pytest.mark.parametrize(
    "summary",
    [
        {"catalogues": {"galah-scaled": {"galah": {"cleao": 3}}}},
        {"catalogues": [1, 2]},
        {"catalogues": {"galah-scaled": None}},
        {"spectra": []},
        {"spectra": {"galah": 7}},
    ],
)
def test_counts_that_make_no_sense_are_left_out(done, tmp_path, summary):
    copied(done, tmp_path, "catalogues", "labels", "models", "validation")
    write_json(tmp_path / "run" / "summary.json", summary)
    found = RunData.read(tmp_path / "run")
    before = build._glance(found)
    assert any("summary.json" in note for note in found.missing)
    assert before.facts == glance(found).facts


def test_a_section_that_cannot_be_made_is_left_out():
    def quality_section(book):
        raise KeyError("tefg_given")

    def cluster_section(book):
        raise InputError("members.csv: no table")

    missing = []
    assert build._guarded(missing, None, quality_section, None) is None
    assert missing == ["the quality section is left out: KeyError, 'tefg_given'"]
    with pytest.raises(InputError, match=r"members.csv"):  # what a user gave
        build._guarded(missing, None, cluster_section, None)


def test_a_report_says_install_only_of_packages_that_it_needs(done, monkeypatch):
    from fastcannon.report import write_report

    monkeypatch.setitem(sys.modules, "fastcannon.report.build", None)
    with pytest.raises(ImportError, match=r"fastcannon.report.build"):
        write_report(done.folder)


# ---- locks, warnings, training


def test_a_short_look_does_not_keep_a_run_from_starting(tmp_path):
    def look():
        with open(tmp_path / locks.LOCK, "w") as handle:
            assert locks._lock(handle, tmp_path)
            held.set()
            time.sleep(0.2)

    held = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    held.wait()
    with locks.locked(tmp_path):
        pass
    thread.join()


def test_few_stars_are_warned_of_by_a_class_of_ours(done, training_stars):
    with pytest.warns(TrainingWarning, match="training stars for 10 terms"):
        cases.warn_of_few(done.config, training_stars[:50])


@pytest.mark.filterwarnings("ignore:.*training stars for")
def test_a_cross_validation_without_any_star_is_refused(done, tmp_path, monkeypatch):
    def hopeless(path):
        table = read(path)
        table["status"] = UNKNOWN
        return table

    read = cases._read_validation
    path = copied(done, tmp_path)
    monkeypatch.setattr(cases, "_read_validation", hopeless)
    with pytest.raises(InputError, match=r"apogee-on-apogee gave no training star all"):
        go(path)
