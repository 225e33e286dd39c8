"""The command line: the answers of the library, and one sentence on bad input."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from fastcannon import describe, fitsfiles, fitsheaders, jobs, kinds
from fastcannon.cli import main
from fastcannon.model import CannonModel
from fastcannon.simulator import simulate_spectra
from fastcannon.spectra import SpectraFile
from fastcannon.spectrawriter import write_spectra

NAMES = ["teff", "logg", "fe_h"]
COMMANDS = ("train", "validate", "infer", "info")
N_SURVEY = 700


def write(path, made, **changes):
    """Write simulated spectra, some of their parts replaced."""
    parts = vars(made) | {"normalised": True} | changes
    write_spectra(path, **parts)


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Folder with training.fits, survey.fits and a model trained by the command."""
    folder = tmp_path_factory.mktemp("survey")
    write(folder / "training.fits", simulate_spectra(150, 120, seed=1))
    write(folder / "survey.fits", simulate_spectra(N_SURVEY, 120, seed=2))
    assert run("train", folder / "training.fits", "-o", folder / "model.fits") == 0
    return folder


@pytest.fixture
def folder(survey, tmp_path):
    """A fresh copy of the survey's files."""
    for path in survey.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def run(command, *arguments, quiet=True):
    """Run a command, training ones with labels; returns the exit code."""
    arguments = [str(argument) for argument in arguments]
    if command in ("train", "validate") and "--labels" not in arguments:
        arguments += ["--labels", *NAMES]
    if quiet and command != "info":
        arguments.append("--quiet")
    return main([command, *arguments])


def refused(capsys, command, *arguments):
    """Run a command that must fail, check how, and return its sentence."""
    capsys.readouterr()
    assert run(command, *arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("fastcannon: error: ")
    assert output.err.count("\n") == 1
    return output.err


def test_training_gives_the_model_of_the_library(survey):
    with SpectraFile(survey / "training.fits") as spectra:
        flux, ivar = spectra.read_rows(0, spectra.n_stars)
        expected = CannonModel(NAMES).train(spectra.labels(NAMES), flux, ivar)
        wavelength = spectra.wavelength
    model = CannonModel.read(survey / "model.fits")
    np.testing.assert_array_equal(model.theta, expected.theta)
    np.testing.assert_array_equal(model.s2, expected.s2)
    np.testing.assert_array_equal(model.wavelength, wavelength)


def test_options_of_the_model_are_passed_on(survey, tmp_path):
    path = tmp_path / "model.fits"
    terms = ["teff", "logg", "fe_h", "teff^2"]
    options = ("--terms", *terms, "--l1", 2.5, "--scatter", "median")
    assert run("train", survey / "training.fits", "-o", path, *options) == 0
    model = CannonModel.read(path)
    assert model.terms.names == ["1", *terms]
    assert (model.l1, model.scatter) == (2.5, "median")
    assert run("train", survey / "training.fits", "-o", path, "--degree", 1) == 0
    assert len(CannonModel.read(path).terms) == 4


def test_inference_gives_the_labels_of_the_library_in_order(survey, tmp_path):
    path = tmp_path / "labels.fits"
    model, spectra = survey / "model.fits", survey / "survey.fits"
    assert run("infer", model, spectra, "-o", path, "--block", 512) == 0
    with SpectraFile(spectra) as file:
        result = CannonModel.read(model).infer(*file.read_rows(0, N_SURVEY))
        ids = file.stars["id"]
    table = Table.read(path, mask_invalid=False)
    np.testing.assert_array_equal(table["id"], ids)
    for k, name in enumerate(NAMES):
        np.testing.assert_array_equal(table[name], result.labels[:, k])
        np.testing.assert_array_equal(table[f"e_{name}"], result.errors[:, k])
    np.testing.assert_array_equal(table["covariance"], result.covariance)
    assert table["teff"].unit == table["e_teff"].unit == "K"


def test_table_written_in_blocks_is_the_table_written_whole(survey, tmp_path):
    blocks, whole = tmp_path / "blocks.fits", tmp_path / "whole.fits"
    arguments = (survey / "survey.fits", "-o", blocks, "--block", 256)
    assert run("infer", survey / "model.fits", *arguments) == 0
    with fits.open(blocks, checksum=True) as hdus:
        table = fitsfiles.hdu_to_table(hdus["LABELS"])
    fitsfiles.write_table(whole, table, kinds.LABELS, {kinds.BAD_PIXELS: 0})
    assert blocks.read_bytes() == whole.read_bytes()
    fitsheaders.verify_checksums(blocks)


def test_blocks_and_threads_do_not_change_the_labels(survey, tmp_path):
    tables = []
    for options in (("--threads", 1), ("--block", 256), ("--block", 99)):
        path = tmp_path / "labels.fits"
        model, spectra = survey / "model.fits", survey / "survey.fits"
        assert run("infer", model, spectra, "-o", path, *options) == 0
        tables.append((path.read_bytes(), Table.read(path)))
    assert tables[0][0] == tables[1][0]
    # Products of other shapes sum in another order; the last step repairs that.
    for name in NAMES:
        shift = tables[2][1][name] - tables[0][1][name]
        assert np.nanmax(np.abs(shift / tables[0][1][f"e_{name}"])) < 1e-3


def test_validation_prints_a_table_and_writes_its_files(survey, tmp_path, capsys):
    table, figure = tmp_path / "validation.fits", tmp_path / "figure.png"
    options = ("-o", table, "--figure", figure, "--folds", 5, "--seed", 3)
    assert run("validate", survey / "training.fits", *options) == 0
    output = capsys.readouterr()
    assert output.err == ""
    header, *lines = output.out.splitlines()
    assert header.split() == ["label", "unit", "bias", "16-84", "MAD", "stars"]
    assert [line.split()[0] for line in lines] == NAMES
    found = Table.read(table)
    assert set(found["fold"]) == set(range(5))
    difference = found["logg"] - found["logg_given"]
    low, high = np.percentile(difference, (16, 84))
    numbers = [float(number) for number in lines[1].split()[2:]]
    expected = [
        difference.mean(),
        (high - low) / 2,
        1.4826 * np.median(np.abs(difference - np.median(difference))),
        150,
    ]
    np.testing.assert_allclose(numbers, expected, atol=6e-5)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_summary_leaves_out_what_is_missing():
    difference = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    lines = jobs.summary_lines(["teff", "age"], difference)
    assert lines[1].split() == ["teff", "K", "+2.0000", "0.6800", "1.4826", "2"]
    assert "no star" in lines[2]


def test_info_describes_every_kind_of_file(survey, tmp_path, capsys):
    labels, validation = tmp_path / "labels.fits", tmp_path / "validation.fits"
    run("infer", survey / "model.fits", survey / "survey.fits", "-o", labels)
    run("validate", survey / "training.fits", "-o", validation)
    capsys.readouterr()
    words = {
        survey / "model.fits": ("CannonModel", "fiducial", "scale", "teff*logg", "120"),
        survey / "survey.fits": ("normalised  yes", "700", "teff [K]", "Angstrom"),
        labels: ("LABELS", "700", "median e_teff", "teff, logg, fe_h", "flagged"),
        validation: ("VALIDATION", "150", "teff_given"),
    }
    for path, expected in words.items():
        assert run("info", path) == 0
        output = capsys.readouterr()
        assert output.err == ""
        assert [word for word in expected if word not in output.out] == []
        assert "format version 1" in output.out


def test_info_counts_flagged_spectra(survey, tmp_path, capsys):
    made = simulate_spectra(5, 120, seed=4)
    made.ivar[:] = 0.0
    write(tmp_path / "empty.fits", made)
    labels = tmp_path / "labels.fits"
    model = survey / "model.fits"
    assert run("infer", model, tmp_path / "empty.fits", "-o", labels, quiet=False) == 0
    assert "flagged: 5 NO_DATA" in capsys.readouterr().out
    assert run("info", labels) == 0
    output = capsys.readouterr().out
    assert "5 NO_DATA" in output and "none" in output


@pytest.mark.filterwarnings("default")
def test_bad_pixels_are_one_warning_however_many_blocks(folder, capsys):
    made = simulate_spectra(30, 120, seed=2)
    made.flux[made.ivar == 0] = 1.0
    made.ivar[:, 7] = -1.0
    write(folder / "bad.fits", made)
    arguments = ("-o", folder / "labels.fits", "--block", 8)
    assert run("infer", folder / "model.fits", folder / "bad.fits", *arguments) == 0
    error = capsys.readouterr().err
    assert error.startswith("fastcannon: warning: 30 of 3600 pixels ")
    assert error.count("\n") == 1


def test_what_was_done_is_said_unless_quiet(folder, capsys):
    arguments = (folder / "training.fits", "-o", folder / "other.fits")
    assert run("train", *arguments) == 0
    assert capsys.readouterr().out == ""
    assert run("train", *arguments, quiet=False) == 0
    output = capsys.readouterr()
    assert "model of 3 labels, 10 terms and 120 pixels" in output.out
    assert output.err == ""  # no bar: stderr is no terminal here


def test_progress_is_shown_on_a_terminal(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    arguments = ("-o", folder / "labels.fits")
    spectra = folder / "survey.fits"
    assert run("infer", folder / "model.fits", spectra, *arguments, quiet=False) == 0
    error = capsys.readouterr().err
    assert "700/700" in error and "spectra/s" in error


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"example:\n  fastcannon {command} " in capsys.readouterr().out


def test_help_does_not_wait_for_the_library():
    code = "import sys, fastcannon.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["train"], ["infer", "a", "b", "-o"]]
)
def test_unknown_arguments_are_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "error: " in capsys.readouterr().err


# Bad input: what is wrong, and a word that the sentence must hold.


def test_a_missing_file_is_named(folder, capsys):
    missing = folder / "missing.fits"
    for command in ("train", "validate"):
        assert str(missing) in refused(
            capsys, command, missing, "-o", folder / "x.fits"
        )
    assert str(missing) in refused(capsys, "info", missing)
    arguments = (folder / "model.fits", missing, "-o", folder / "x.fits")
    assert str(missing) in refused(capsys, "infer", *arguments)


def test_other_files_are_told_apart(folder, capsys):
    text = folder / "notes.fits"
    text.write_text("my notes\n")
    assert "not a FITS file" in refused(capsys, "info", text)
    image = folder / "image.fits"
    fits.writeto(image, np.ones(3))
    assert "not a fastcannon file" in refused(capsys, "info", image)
    other = folder / "other.fits"
    fitsfiles.write_table(other, Table({"a": [1]}), "OTHER")
    assert "OTHER" in refused(capsys, "info", other)
    arguments = (folder / "survey.fits", folder / "survey.fits", "-o", folder / "x")
    assert "SPECTRA" in refused(capsys, "infer", *arguments)
    assert str(folder) in refused(capsys, "info", folder)


@pytest.mark.parametrize("name", ["model.fits", "survey.fits"])
def test_a_file_cut_short_is_named(folder, capsys, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-4000])
    arguments = (folder / "model.fits", folder / "survey.fits", "-o", folder / "x.fits")
    sentence = refused(capsys, "infer", *arguments)
    assert str(path) in sentence and "cut short" in sentence
    assert not (folder / "x.fits").exists()


def test_flux_that_is_not_normalised_is_refused_with_a_recipe(folder, capsys):
    raw = folder / "raw.fits"
    write(raw, simulate_spectra(150, 120, seed=1), normalised=False)
    output = ("-o", folder / "x.fits")
    for arguments in (
        ("train", raw, *output),
        ("validate", raw),
        ("infer", folder / "model.fits", raw, *output),
    ):
        assert "fastcannon.continuum" in refused(capsys, *arguments)
    assert run("info", raw) == 0
    assert "normalised  no" in capsys.readouterr().out


def test_a_label_that_does_not_exist_is_named(folder, capsys):
    arguments = (folder / "training.fits", "-o", folder / "x.fits", "--labels")
    sentence = refused(capsys, "train", *arguments, "teff", "age")
    assert "'age'" in sentence and "fe_h" in sentence


def test_missing_labels_are_counted(folder, capsys):
    made = simulate_spectra(150, 120, seed=1)
    made.stars["logg"][[3, 5]] = np.nan
    write(folder / "training.fits", made)
    arguments = (folder / "training.fits", "-o", folder / "x.fits")
    assert "2 of 150" in refused(capsys, "train", *arguments)


def test_spectra_on_other_wavelengths_are_refused(folder, capsys):
    made = simulate_spectra(5, 120, seed=1)
    shifted, shorter = folder / "shifted.fits", folder / "shorter.fits"
    write(shifted, made, wavelength=made.wavelength * (1.0 + 5e-5))
    write(shorter, simulate_spectra(5, 110, seed=1))
    model, output = folder / "model.fits", ("-o", folder / "x.fits")
    assert "5.0e-05" in refused(capsys, "infer", model, shifted, *output)
    sentence = refused(capsys, "infer", model, shorter, *output)
    assert "110" in sentence and "120" in sentence


@pytest.mark.parametrize(
    "options, words",
    [
        (("--degree", 0), "degree"),
        (("--terms", "teff", "age^2"), "'age'"),
        (("--l1", -1), "l1"),
        (("--threads", 0), "threads"),
        (("--labels", "teff", "teff"), "twice"),
    ],
)
def test_options_of_training_are_checked(folder, capsys, options, words):
    arguments = (folder / "training.fits", "-o", folder / "x.fits", *options)
    assert words in refused(capsys, "train", *arguments)


@pytest.mark.parametrize("option", ["--starts", "--block", "--threads"])
def test_options_of_inference_are_checked(folder, capsys, option):
    arguments = (folder / "model.fits", folder / "survey.fits", "-o", folder / "x.fits")
    assert option[2:] in refused(capsys, "infer", *arguments, option, 0)
    assert not (folder / "x.fits").exists()


def test_options_of_validation_are_checked(folder, capsys):
    for option, value in (("--folds", 1), ("--seed", -1)):
        spectra = folder / "training.fits"
        assert option[2:] in refused(capsys, "validate", spectra, option, value)


def test_results_that_cannot_be_written_are_refused_before_the_work(folder, capsys):
    spectra = folder / "training.fits"
    before = spectra.read_bytes()
    assert "also an input" in refused(capsys, "train", spectra, "-o", spectra)
    assert "also an input" in refused(capsys, "validate", spectra, "--figure", spectra)
    nowhere = folder / "nowhere" / "model.fits"
    assert "does not exist" in refused(capsys, "train", spectra, "-o", nowhere)
    assert "is a folder" in refused(capsys, "train", spectra, "-o", folder)
    packed = folder / "model.fits.gz"
    assert "drop .gz" in refused(capsys, "train", folder / "none", "-o", packed)
    assert spectra.read_bytes() == before


def test_a_failed_run_leaves_the_old_result(folder, capsys):
    labels = folder / "labels.fits"
    labels.write_bytes(b"old")
    arguments = (folder / "model.fits", folder / "survey.fits", "-o", labels)
    refused(capsys, "infer", *arguments, "--threads", 0)
    assert labels.read_bytes() == b"old"
    assert sorted(p.name for p in folder.iterdir() if p.suffix == ".tmp") == []


def test_a_figure_without_matplotlib_is_refused_before_the_work(
    folder, capsys, monkeypatch
):
    arguments = (folder / "training.fits", "--figure", folder / "figure.png")
    monkeypatch.delitem(sys.modules, "fastcannon.plots", raising=False)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "matplotlib.backend_bases", None)
        assert "fastcannon[plot]" in refused(capsys, "validate", *arguments)
    # One of our own that is gone is no matter of what is installed.
    monkeypatch.setitem(sys.modules, "fastcannon.plots", None)
    with pytest.raises(ImportError, match=r"fastcannon.plots"):
        run("validate", *arguments)


def test_a_figure_of_an_unknown_format_is_refused_before_the_work(folder, capsys):
    for name in ("figure.xyz", "figure"):
        arguments = (folder / "training.fits", "--figure", folder / name)
        assert ".png" in refused(capsys, "validate", *arguments)


def test_a_key_press_stops_without_a_traceback(folder, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(describe, "describe", interrupt)
    assert run("info", folder / "model.fits") == 130
    assert capsys.readouterr().err.startswith("fastcannon: stopped; files that are")


def test_a_model_without_wavelengths_takes_any_of_the_right_number(folder, capsys):
    model = CannonModel.read(folder / "model.fits")
    model.wavelength = None
    model.write(folder / "model.fits")
    made = simulate_spectra(5, 120, seed=1)
    write(folder / "other.fits", made, wavelength=made.wavelength + 1000.0)
    arguments = (folder / "other.fits", "-o", folder / "labels.fits")
    assert run("infer", folder / "model.fits", *arguments) == 0
    assert run("info", folder / "model.fits") == 0
    assert "pixels      120\n" in capsys.readouterr().out
