"""From survey files to labels: the whole way on two small simulated surveys."""

import re
import shutil
import tomllib

import numpy as np
import pytest
from astropy.table import Table

from fastcannon import CannonModel, SpectraFile, demo, jobs, run
from fastcannon.arrays import label_array
from fastcannon.cli import main
from fastcannon.config import read_config
from fastcannon.demo import true_labels
from fastcannon.errors import InputError
from fastcannon.packed import PackedSurvey, best_and_others
from fastcannon.simulator import simulate
from fastcannon.spectra import write_spectra

NAMES = ("teff", "logg", "fe_h")
CASES = ["apogee-on-apogee", "apogee-on-galah", "galah-on-apogee", "galah-on-galah"]
CHANGES = """
[labels]
names = ["teff", "logg", "fe_h"]

[pack]
stars_per_part = 256
processes = 1

[model]
folds = 4
starts = 2
"""


@pytest.fixture(scope="module")
def surveys_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "surveys"
    simulate(folder, 200, overlap=200, seed=2, processes=2)
    text = (folder / "fastcannon.toml").read_text()
    kept = text[: text.index("[labels]")]
    (folder / "fastcannon.toml").write_text(kept + CHANGES)
    return folder


@pytest.fixture(scope="module")
def done(surveys_folder):
    """The folder after ``fastcannon run``, and what it said."""
    code = main(["run", str(surveys_folder / "fastcannon.toml"), "--quiet"])
    return surveys_folder, code


def test_all_files_are_written(done):
    folder, code = done
    made = folder / "run"
    assert sorted(path.stem for path in (made / "labels").iterdir()) == CASES
    assert sorted(path.stem for path in (made / "models").iterdir()) == CASES
    assert sorted(path.stem for path in (made / "validation").iterdir()) == CASES
    # Stars that miss an arm are refused, which the exit code tells.
    with PackedSurvey.open(made / "packed" / "galah") as packed:
        refused = sum(len(part.refused) for part in packed.parts)
    assert (code == 3) == (refused > 0)
    training = Table.read(made / "training.fits")
    assert len(training) > 40
    assert {"teff_apogee", "e_teff_galah", "id_galah"} <= set(training.colnames)


@pytest.mark.parametrize("name", CASES)
def test_labels_are_those_of_the_scale(done, name):
    folder, _ = done
    spectra, scale = name.split("-on-")
    found = Table.read(folder / "run" / "labels" / f"{name}.fits")
    with PackedSurvey.open(folder / "run" / "packed" / spectra) as packed:
        assert list(found["id"]) == list(packed.stars["id"])
        snr = packed.stars["snr"]
    usable = (found["status"] == 0) & (snr > 50)
    truth = folder / "truth" / "truth.fits"
    hidden = true_labels(truth, spectra, scale, NAMES, found["id"][usable])
    away = label_array(found[usable], NAMES) - hidden
    spread = np.percentile(away, (16, 84), axis=0).T @ (-0.5, 0.5)
    # measured: 50-75 K, 0.10-0.17 dex, 0.03-0.07 dex with some 60 training stars
    assert usable.sum() > 30
    assert (spread < (110, 0.25, 0.1)).all()
    assert (abs(np.median(away, axis=0)) < (50, 0.12, 0.05)).all()


def test_models_keep_their_normalisation(done, tmp_path):
    folder, _ = done
    path = folder / "run" / "models" / "apogee-on-galah.fits"
    model = CannonModel.read(path)
    assert model.normaliser.order == run.ORDER and model.wavelength is not None
    assert 100 < model.normaliser.pixels.sum() < 1000
    part = next((folder / "run" / "packed" / "apogee").glob("part-*"))
    out = tmp_path / "labels.fits"
    command = ["infer", str(path), str(part), "-o", str(out), "--starts", "2", "-q"]
    assert main(command) == 0
    whole = Table.read(folder / "run" / "labels" / "apogee-on-galah.fits")
    again = Table.read(out)
    for name in NAMES:
        np.testing.assert_array_equal(again[name], whole[name][: len(again)])
    assert (
        CannonModel.read(
            folder / "run" / "models" / "galah-on-apogee.fits"
        ).normaliser.order
        is None
    )


def test_a_model_without_normalisation_refuses_raw_flux(done, tmp_path, capsys):
    folder, _ = done
    model = CannonModel.read(folder / "run" / "models" / "apogee-on-galah.fits")
    model.normaliser = None
    model.write(tmp_path / "model.fits")
    part = next((folder / "run" / "packed" / "apogee").glob("part-*"))
    command = ["infer", str(tmp_path / "model.fits"), str(part), "-o"]
    assert main([*command, str(tmp_path / "labels.fits")]) == 2
    assert "not normalised" in capsys.readouterr().err


def test_a_second_run_ends_in_the_same_bytes(done):
    folder, code = done
    paths = sorted((folder / "run").rglob("*.fits"))
    before = [path.read_bytes() for path in paths]
    assert main(["run", str(folder / "fastcannon.toml"), "--quiet"]) == code
    assert [path.read_bytes() for path in paths] == before


def test_match_says_what_each_step_removed(done, capsys):
    folder, _ = done
    assert main(["match", str(folder / "fastcannon.toml")]) == 0
    said = capsys.readouterr().out
    for text in (
        "200  matched",
        "cuts of apogee",
        "flag_sp",
        "cuts of spectra",
        "training stars",
        "Giants",
        "teff (K)",
    ):
        assert text in said


def test_recovered_offsets_are_the_injected_ones(done):
    folder, _ = done
    found = Table.read(folder / "run" / "differences.ecsv")
    training = Table.read(folder / "run" / "training.fits")
    ids = training["id_apogee"]
    truth = folder / "truth" / "truth.fits"
    scales = [
        true_labels(truth, "apogee", scale, NAMES, ids) for scale in ("apogee", "galah")
    ]
    injected = (scales[0] - scales[1]).mean(axis=0)
    away = (np.asarray(found["mean_all"]) - injected) / found["e_mean_all"]
    # Labels have outliers; with a fixed seed the largest is 1.5 standard errors.
    assert (abs(away) < 3).all()
    assert (np.asarray(found["scatter_all"]) > 0).all()


def test_own_spectra_files_take_part(done, tmp_path):
    """A survey of one's own: spectra files and a catalogue, no reader needed."""
    folder, _ = done
    with PackedSurvey.open(folder / "run" / "packed" / "galah") as packed:
        flux, ivar = packed.read(np.arange(packed.n_stars))
        stars, grid = packed.stars, packed.wavelength
    write_spectra(tmp_path / "own.fits", flux, ivar, grid, stars["id", "snr"], True)
    training = Table.read(folder / "run" / "training.fits")
    catalogue = Table({"name": training["id_galah"], "star_id": training["star_id"]})
    for name in NAMES:
        catalogue[name] = training[f"{name}_galah"]
    catalogue["snr"], catalogue["gaia_source_id"] = training["snr_galah"], 0
    catalogue["ra"], catalogue["dec"] = training["ra"], training["dec"]
    catalogue.write(tmp_path / "own.ecsv", format="ascii.ecsv")
    text = (folder / "fastcannon.toml").read_text()
    text = text.replace("apogee/", f"{folder}/apogee/")
    start, end = text.index("[surveys.galah]"), text.index("[match]")
    own = (
        '[surveys.own]\nformat = "spectra"\nspectra = ["own.fits"]\n'
        'catalogue = "own.ecsv"\ncuts = { snr = "> 25" }\n'
        'columns = { id = "name" }\n\n'
    )
    (tmp_path / "own.toml").write_text(text[:start] + own + text[end:])
    config = read_config(tmp_path / "own.toml")
    shutil.copytree(folder / "run" / "packed", tmp_path / "run" / "packed")
    found, _ = run.match_surveys(config)
    assert len(found.table) == len(training)
    survey, scale = config.surveys["own"], config.surveys["apogee"]
    spectra = run.training_spectra(config, survey, found.table)
    assert spectra.normaliser.order is None and spectra.medium == "unknown"
    case = run.train_case(config, survey, scale, found.table, spectra)
    assert case.validation.scatter[0] < 150
    path, _ = run.infer_case(config, survey, case)
    with SpectraFile(tmp_path / "own.fits") as file:
        assert len(Table.read(path)) == file.n_stars


def test_own_catalogues_that_cannot_be_used(done, tmp_path):
    folder, _ = done
    write_spectra(
        tmp_path / "own.fits",
        *np.ones((2, 1, 4)),
        np.arange(1.0, 5),
        {"id": ["a"]},
        True,
    )
    (tmp_path / "own.csv").write_text("name,star_id\na,b\n")
    text = (folder / "fastcannon.toml").read_text()
    text = text.replace('"apogee/', f'"{folder}/apogee/')
    text = text.replace('folder = "run"', f'folder = "{folder}/run"')
    start, end = text.index("[surveys.galah]"), text.index("[match]")
    for catalogue, message in (
        ("own.csv", r"own.columns.id: .* no column 'nam' \(did you mean 'name'\?\)"),
        ("none.csv", r"own.catalogue: .*none.csv cannot be read"),
    ):
        own = (
            '[surveys.own]\nformat = "spectra"\nspectra = ["own.fits"]\n'
            f'catalogue = "{catalogue}"\ncolumns = {{ id = "nam" }}\n\n'
        )
        (tmp_path / "own.toml").write_text(text[:start] + own + text[end:])
        with pytest.raises(InputError, match=message):
            run.match_surveys(read_config(tmp_path / "own.toml"))


def test_normalised_flux_may_be_normalised_again(done):
    """What training did to the spectra, inference does too."""
    folder, _ = done
    text = (folder / "fastcannon.toml").read_text()
    text += "\n[surveys.galah.continuum]\norder = 2\n"
    (folder / "again.toml").write_text(text)
    config = read_config(folder / "again.toml")
    survey = config.surveys["galah"]
    training = Table.read(folder / "run" / "training.fits")
    spectra = run.training_spectra(config, survey, training)
    assert spectra.normaliser.order == 2
    model = CannonModel(NAMES, degree=1)
    labels = label_array(training, [f"{name}_galah" for name in NAMES])
    model.train(labels, spectra.flux, spectra.ivar, spectra.wavelength)
    model.normaliser = spectra.normaliser
    path = folder / "again.fits"
    with PackedSurvey.open(folder / "run" / "packed" / "galah") as packed:
        jobs.infer(model, packed, path)
        expected = model.infer(*spectra.normaliser.apply(*packed.read(range(20))))
    found = label_array(Table.read(path), NAMES)[:20]
    np.testing.assert_allclose(found, expected.labels, rtol=1e-6)


@pytest.mark.parametrize("name", ["apogee", "galah"])
def test_repeats_are_of_one_star(done, name):
    folder, _ = done
    config = read_config(folder / "fastcannon.toml")
    star_id = run.spectra_stars(config, config.surveys[name])
    with PackedSurvey.open(folder / "run" / "packed" / name) as packed:
        stars = packed.stars
    truth = folder / "truth" / "truth.fits"
    hidden = true_labels(truth, name, name, NAMES, stars["id"])
    pairs = best_and_others(star_id, stars["snr"])
    assert len(pairs) > (50 if name == "apogee" else 3)
    np.testing.assert_array_equal(hidden[pairs[:, 0]], hidden[pairs[:, 1]])
    assert (stars["snr"][pairs[:, 0]] > 0).all()
    assert (stars["id"][pairs[:, 0]] != stars["id"][pairs[:, 1]]).all()


def test_info_knows_the_files_of_a_run(done, capsys):
    folder, _ = done
    part = next((folder / "run" / "packed" / "galah").glob("part-*"))
    for path, texts in (
        (folder / "run" / "training.fits", ["TRAINING", "teff_galah"]),
        (part, ["survey", "galah", "air", "refused"]),
        (folder / "run" / "models" / "apogee-on-galah.fits", ["Chebyshev"]),
    ):
        assert main(["info", str(path)]) == 0
        said = capsys.readouterr().out
        assert all(text in said for text in texts)


def test_a_demonstration_without_configuration(tmp_path, capsys):
    assert demo.main(["--data", str(tmp_path)]) == 2
    assert "fastcannon.toml does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[match]", '[surveys.galah.columns]\nfe_h = "FEH"\n[match]', "'?FEH'?"),
        ("[match]", '[surveys.galah.cuts]\nsnrr = "> 2"\n[match]', "snrr"),
        ("[match]", '[surveys.galah.cuts]\nsnr = "> 1e9"\n[match]', "passes all cuts"),
        ("[match]", '[surveys.galah.continuum]\npixels = "no.txt"\n[match]', "no.txt"),
        (
            "[pack]",
            'windows = "none.ecsv"\n[labels.censors]\nteff = ["Si"]\n[pack]',
            "none",
        ),
    ],
)
def test_mistakes_show_before_packing(done, tmp_path, capsys, old, new, message):
    folder, _ = done
    text = (folder / "fastcannon.toml").read_text()
    for name in ("apogee", "galah"):
        text = text.replace(f'"{name}/', f'"{folder}/{name}/')
    path = tmp_path / "fastcannon.toml"
    path.write_text(text.replace(old, new))
    assert main(["run", str(path)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_given_continuum_pixels_are_used(done, tmp_path):
    folder, _ = done
    (tmp_path / "pixels.txt").write_text("\n".join(map(str, range(330, 8300, 20))))
    text = (folder / "fastcannon.toml").read_text()
    text += (
        f'\n[surveys.apogee.continuum]\npixels = "{tmp_path}/pixels.txt"\norder = 2\n'
    )
    config_path = folder / "pixels.toml"
    config_path.write_text(text)
    config = read_config(config_path)
    survey = config.surveys["apogee"]
    training = Table.read(folder / "run" / "training.fits")
    spectra = run.training_spectra(config, survey, training)
    assert spectra.normaliser.order == 2
    assert spectra.normaliser.pixels.sum() == len(range(330, 8300, 20))
    (tmp_path / "pixels.txt").write_text("9000\n")
    with pytest.raises(InputError, match=r"no list of continuum pixels.*0 to 8574"):
        run.training_spectra(config, survey, training)


def test_training_stars_without_spectra_are_counted(done, tmp_path):
    folder, _ = done
    shutil.copytree(folder / "run" / "packed", tmp_path / "run" / "packed")
    part = next((tmp_path / "run" / "packed" / "apogee").glob("part-*"))
    with SpectraFile(part) as file:
        stars = file.stars
        stars["id"] = [f"x{name}" for name in stars["id"]]
        flux, ivar = file.read_rows(0, file.n_stars)
        write_spectra(part, flux, ivar, file.wavelength, stars, False)
    text = (folder / "fastcannon.toml").read_text()
    text = text.replace('"apogee/', f'"{folder}/apogee/')
    text = text.replace('"galah/', f'"{folder}/galah/')
    (tmp_path / "fastcannon.toml").write_text(text)
    with pytest.raises(InputError, match="training stars has packed spectra in both"):
        run.match_surveys(read_config(tmp_path / "fastcannon.toml"))


def test_init_writes_a_configuration_once(tmp_path, capsys):
    path = tmp_path / "fastcannon.toml"
    assert main(["init", str(path)]) == 0
    assert tomllib.loads(path.read_text())["surveys"]["apogee"]["format"] == "apogee"
    assert main(["init", str(path)]) == 2
    assert "exists" in capsys.readouterr().err
    # Nothing is there yet: the empty glob is named.
    assert main(["pack", str(path)]) == 2
    assert "matches no file" in capsys.readouterr().err


def test_simulate_from_the_command_line(tmp_path, capsys):
    out = str(tmp_path / "surveys")
    command = ["simulate", out, "--stars", "2", "--overlap", "1", "--processes", "1"]
    assert main(command) == 0
    assert "3 stars" in capsys.readouterr().out
    assert main(command) == 2
    assert "not an empty folder" in capsys.readouterr().err
