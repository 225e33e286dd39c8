"""The demonstration: from simulated survey files to catalogues."""

import numpy as np
import pytest
from small_run import CASES, copied, small_parts

from fastcannon import demo
from fastcannon.packed import PackedSurvey


@pytest.mark.filterwarnings("ignore:.*training stars for:UserWarning")
def test_the_demonstration_compares_with_the_truth(done, tmp_path, capsys):
    copied(done, tmp_path)
    (tmp_path / "truth").symlink_to(done.surveys / "truth")
    with small_parts():
        demo.run_demo(tmp_path / "unused", data=tmp_path)
    said = capsys.readouterr().out
    assert said.count("cross-validation, inferred minus given labels") == 4
    assert said.count("minus the hidden ones of") == 4
    assert {path.stem for path in (tmp_path / "run").glob("*.png")} == set(CASES)
    assert "training stars" in said and "inputs refused" in said
    assert said.count(" of them clean") == 2  # the two catalogues
    assert not (tmp_path / "unused").exists()


def test_surveys_are_simulated_once(tmp_path, monkeypatch, capsys):
    made = []

    def simulate(folder, n_stars, overlap, progress):
        made.append((folder, n_stars, overlap))
        folder.mkdir(parents=True)
        (folder / demo.CONFIGURATION).touch()

    monkeypatch.setattr(demo, "simulate", simulate)
    monkeypatch.setattr(demo, "read_config", lambda path: None)
    monkeypatch.setattr(demo.run, "run_all", lambda *given: None)
    for _ in range(2):
        with pytest.raises(AttributeError):  # there is no configuration to go on with
            demo.run_demo(tmp_path, n_stars=7, overlap=5)
    assert made == [(tmp_path / "surveys", 7, 5)]
    assert "Simulating 7 stars in each of two surveys" in capsys.readouterr().out


def test_labels_of_all_parts_are_one_table(done):
    found = demo.read_labels(done.folder / "labels" / "galah-on-galah")
    with PackedSurvey.open(done.folder / "packed" / "galah") as packed:
        assert list(found["id"]) == list(packed.stars["id"])


@pytest.mark.parametrize("survey", ["apogee", "galah"])
def test_visits_and_repeats_have_the_labels_of_their_star(done, survey):
    truth = done.surveys / "truth" / "truth.fits"
    with PackedSurvey.open(done.folder / "packed" / survey) as packed:
        ids = [str(name) for name in packed.stars["id"]]
    found = demo.true_labels(truth, survey, "galah", ("teff", "fe_h"), ids)
    assert found.shape == (len(ids), 2) and np.isfinite(found).all()
    combined = {name: labels for name, labels in zip(ids, found, strict=True)}
    for name, labels in zip(ids, found, strict=True):
        np.testing.assert_array_equal(labels, combined[name.partition(".v")[0]])
    other = demo.true_labels(truth, survey, "apogee", ("teff", "fe_h"), ids)
    assert (other != found).any()


def test_the_program_takes_folders(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(demo, "run_demo", lambda *given: asked.append(given))
    assert demo.main(["--out", str(tmp_path), "--data", "x"]) == 0
    assert demo.main([]) == 0
    assert asked == [(str(tmp_path), "x"), ("demo", None)]


def test_a_demonstration_without_configuration(tmp_path, capsys):
    assert demo.main(["--data", str(tmp_path)]) == 2
    assert "fastcannon.toml does not exist" in capsys.readouterr().err
