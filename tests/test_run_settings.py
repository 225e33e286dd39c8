"""The run with other settings: own surveys, missing repeats, mistakes, commands."""

import re
import tomllib

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from small_run import (
    CASES,
    GAIA,
    GAIA_NAMES,
    NAMES,
    by_id,
    copied,
    first_part,
    go,
    load,
    packed,
    read,
    small_parts,
    write,
)

from fastcannon import CannonModel, sources
from fastcannon.catalogue import FLAGS, clean
from fastcannon.cli import main
from fastcannon.demo import read_labels
from fastcannon.errors import InputError
from fastcannon.labels import empirical_vmicro
from fastcannon.spectra import SpectraFile
from fastcannon.spectrawriter import write_spectra
from fastcannon.trainingset import match_surveys

FEW = r"\d+ training stars for \d+ terms of the model; \d+ or more are needed"
pytestmark = pytest.mark.filterwarnings(f"ignore:{FEW}:UserWarning")


# ---- surveys of one's own


def own_survey(done, training_stars, folder, rows=slice(None)):
    """Write GALAH's spectra and labels as a survey of one's own; return its section."""
    folder.mkdir(exist_ok=True)
    with packed(done, "galah") as spectra:
        flux, ivar = spectra.read(np.arange(spectra.n_stars)[rows])
        stars, grid = spectra.stars[rows]["id", "snr"], spectra.wavelength
    write_spectra(folder / "own.fits", flux, ivar, grid, stars, True)
    catalogue = Table(
        {"name": training_stars["id_galah"], "star_id": training_stars["star_id"]}
    )
    for name in NAMES:
        catalogue[name] = np.asarray(training_stars[f"{name}_galah"])
    catalogue["snr"], catalogue["gaia_source_id"] = training_stars["snr_galah"], 0
    catalogue["ra"], catalogue["dec"] = training_stars["ra"], training_stars["dec"]
    catalogue.write(folder / "own.ecsv", format="ascii.ecsv")
    return (
        '[surveys.own]\nformat = "spectra"\nspectra = ["own.fits"]\n'
        'catalogue = "own.ecsv"\ncuts = { snr = "> 25" }\n'
        'columns = { id = "name" }\n\n'
    )


def with_own(done, section):
    """Return the text of the configuration with a survey in the place of GALAH."""
    text = done.text.replace("starts = 2", "starts = 2\ndegree = 1")
    start, end = text.index("[surveys.galah]"), text.index("[match]")
    return text[:start] + section + text[end:]


def test_own_spectra_files_take_part(done, training_stars, tmp_path):
    """A survey of one's own: spectra files and a catalogue, no reader needed."""
    section = own_survey(done, training_stars, tmp_path)
    copied(done, tmp_path, "*.*")
    path = write(tmp_path, with_own(done, section))
    summary, said = go(path)
    assert dict(summary["match"])["training stars"] == len(training_stars)
    assert "own-on-apogee: fewer than 20 stars have repeats" in "\n".join(said)
    counts = summary["catalogues"]["apogee-scaled"]
    with packed(done, "galah") as spectra:
        n_spectra = spectra.n_stars
    # No star_id for the spectra that the catalogue does not have: each is a star.
    assert counts["own"]["rows"] == n_spectra
    assert counts["own"]["NOT_CATALOGUED"] == n_spectra - len(training_stars)
    assert counts["own"]["FORMAL_ERRORS"] == n_spectra
    table = read(tmp_path / "run" / "catalogues" / "apogee-scaled.fits")
    own = table[table["flag_id"] == 2]
    assert len(own) == n_spectra
    known = own["flag_fastcannon"] & FLAGS["NOT_CATALOGUED"] == 0
    assert set(own["survey_id"][known]) == set(training_stars["id_galah"])
    assert (own["flag_training"][known] == 0).all()
    assert np.isnan(own["teff"][~known]).all() and np.isfinite(own["teff"][known]).all()
    model = CannonModel.read(tmp_path / "run" / "models" / "own-on-apogee.fits")
    assert model.normaliser.order is None
    scatter = summary["cross-validation"]["own-on-own"]["teff"]["scatter"]
    assert scatter < 200  # measured: 99 K with 49 stars and a linear model


def test_own_catalogues_that_cannot_be_used(done, tmp_path):
    write_spectra(
        tmp_path / "own.fits",
        *np.ones((2, 1, 4)),
        np.arange(1.0, 5),
        {"id": ["a"]},
        True,
    )
    (tmp_path / "own.csv").write_text("name,star_id\na,b\n")
    for catalogue, message in (
        ("own.csv", r"own.columns.id: .* no column 'nam' \(did you mean 'name'\?\)"),
        ("none.csv", r"own.catalogue: .*none.csv: no such file"),
    ):
        section = (
            '[surveys.own]\nformat = "spectra"\nspectra = ["own.fits"]\n'
            f'catalogue = "{catalogue}"\ncolumns = {{ id = "nam" }}\n\n'
        )
        path = write(tmp_path, with_own(done, section))
        with pytest.raises(InputError, match=message):
            go(path)
    assert not (tmp_path / "run").exists()


# ---- other configurations


@pytest.fixture(scope="module")
def sparse(done, tmp_path_factory):
    """A run without visits, repeats, some entries and some Gaia rows.

    With GALAH's relation for the vmicro of APOGEE. Returns its folder, summary, lines,
    and the ids that were taken out of GALAH's catalogue and of Gaia's.
    """
    home = tmp_path_factory.mktemp("sparse")
    galah = done.surveys / "galah" / "GALAH_DR3_main_allstar_v2.fits"
    removed = without_rows(galah, home / galah.name, "sobject_id", 4)
    lost = without_rows(done.surveys / GAIA, home / "gaia.fits", "source_id", 3)
    repeats = done.surveys / "galah" / "GALAH_DR3_main_allspec_v2.fits"
    path = write(
        home,
        done.text,
        ("visits = true", "visits = false"),
        (f'catalogue_repeats = "{repeats}"', ""),
        (f'"{galah}"', f'"{galah.name}"'),
        (f'"{done.surveys / GAIA}"', '"gaia.fits"'),
        ('"fe_h"]', '"fe_h", "vmicro"]\nempirical_vmicro = ["apogee"]'),
        ("starts = 2", "starts = 2\ndegree = 1"),
    )
    summary, said = go(path)
    return home / "run", summary, said, set(map(str, removed)), set(lost)


def without_rows(path, target, key, step):
    """Copy a FITS table without every step-th row; return the keys of these."""
    with fits.open(path) as hdus:
        rows = np.arange(len(hdus[1].data)) % step == 0
        gone = hdus[1].data[key][rows].tolist()
        hdus[1].data = hdus[1].data[~rows]
        hdus.writeto(target)
    return gone


def test_errors_without_repeats_are_formal_and_the_catalogue_says_so(sparse):
    folder, summary, said, _, _ = sparse
    assert "galah-on-apogee: fewer than 20 stars have repeats" in "\n".join(said)
    header = fits.getheader(folder / "catalogues" / "apogee-scaled.fits")
    assert header["SURVEY1"] == "galah" and header["FORMAL1"] is True
    table = read(folder / "catalogues" / "apogee-scaled.fits")
    own = table[table["flag_id"] == 0]
    assert (own["flag_fastcannon"] & FLAGS["FORMAL_ERRORS"] > 0).all()
    found = by_id(read_labels(folder / "labels" / "galah-on-apogee"), own)
    np.testing.assert_array_equal(own["e_teffCann"], found["e_teff"].astype("f4"))
    factors = read(folder / "factors.ecsv")
    factors = factors[factors["case"] == "galah-on-apogee"]
    assert np.isnan(factors["factor"]).all() and not factors["n_pairs"].any()
    assert summary["catalogues"]["apogee-scaled"]["galah"]["clean"] > 0


def test_spectra_without_an_entry_have_rows_that_say_so(sparse, done):
    folder, summary, _, removed, _ = sparse
    table = read(folder / "catalogues" / "galah-scaled.fits")
    odd = table["flag_fastcannon"] & FLAGS["NOT_CATALOGUED"] > 0
    with packed(done, "galah") as spectra:
        ids = set(spectra.stars["id"])
    catalogue = sources.catalogue(done.config.surveys["galah"]).table
    repeats = ids - set(map(str, catalogue["id"]))
    # Without the catalogue of repeats nobody knows whose spectra these are.
    assert set(table["survey_id"][odd]) == (ids & removed) | repeats
    counts = summary["stars"]["galah"]
    assert counts["not in the survey's catalogue"] == odd.sum() > 40
    assert counts["stars"] == len(ids)
    rows = table[odd]
    assert (rows["flag_id"] == 0).all() and np.isfinite(rows["teffCann"]).all()
    assert np.isfinite(rows["snr"]).all() and np.isnan(rows["ra"]).all()
    for name in ("flag_survey", "flag_training", "flag_snr"):
        assert (rows[name] == 1).all()
    assert not clean(rows).any()
    assert not np.any(rows["dr3_source_id"]) and np.isnan(rows["parallax"]).all()


def test_stars_without_a_gaia_row_keep_the_id_of_their_survey(sparse, done):
    folder, _, _, _, lost = sparse
    table = read(folder / "catalogues" / "galah-scaled.fits")
    odd = table["flag_fastcannon"] & FLAGS["NOT_CATALOGUED"] > 0
    galah = table[(table["flag_id"] == 0) & ~odd]
    gone = np.isin(galah["dr3_source_id"], list(lost))
    assert 20 < gone.sum() < len(galah) / 2
    assert (galah["dr3_source_id"] > 0).all()
    np.testing.assert_array_equal(np.ma.filled(galah["dr2_source_id"], 0) == 0, gone)
    apogee = table[table["flag_id"] == 1]
    entry = by_id(sources.catalogue(done.config.surveys["apogee"]).table, apogee)
    np.testing.assert_array_equal(apogee["dr2_source_id"], entry["gaia_source_id"])
    none = np.ma.filled(apogee["dr3_source_id"], 0) == 0
    assert none.sum() > 20
    for rows, empty in ((galah, gone), (apogee, none)):
        for name in GAIA_NAMES:
            np.testing.assert_array_equal(np.isnan(rows[name]), empty)


def test_empirical_vmicro_replaces_that_of_a_survey(sparse, done):
    folder, _, said, _, _ = sparse
    training = read(folder / "training.fits")
    expected = empirical_vmicro(training["teff_apogee"], training["logg_apogee"])
    np.testing.assert_array_equal(training["vmicro_apogee"], expected)
    catalogue = sources.catalogue(done.config.surveys["apogee"]).table
    own = dict(zip(catalogue["id"], catalogue["vmicro"], strict=True))
    given = [own[name] for name in training["id_apogee"]]
    np.testing.assert_array_equal(training["vmicro_apogee_given"], given)
    assert "vmicro_galah_given" not in training.colnames
    validations = {path.stem for path in (folder / "validation").iterdir()}
    ends = "on-apogee-own-vmicro"
    assert validations == {*CASES, f"apogee-{ends}", f"galah-{ends}"}
    other = read(folder / "validation" / f"apogee-{ends}.fits")
    np.testing.assert_array_equal(other["vmicro_given"], given)
    first = read(folder / "validation" / "apogee-on-apogee.fits")
    np.testing.assert_array_equal(first["vmicro_given"], expected)
    assert "the same with apogee's own vmicro" in "\n".join(said)
    # The survey's own value stays in the catalogue.
    table = read(folder / "catalogues" / "apogee-scaled.fits")
    rows = table[table["flag_id"] == 1]
    shown = np.array([own[name] for name in rows["survey_id"]], "f4")
    np.testing.assert_array_equal(rows["vmicro"], shown)


# ---- what can be wrong


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
        (
            "[match]",
            '[surveys.galah.columns]\nstar_id = "sobject_id"\n[match]',
            "no star_id is in both|star_id has type",
        ),
        ("gaia.fits", "gone.fits", "gaia.table: .*gone.fits: no such file"),
        ("[labels]", '[gaia.columns]\nr_est = "rest"\n[labels]', "no column rest"),
        ('"teff", "logg", "fe_h"', '"vmicro", "vbroad"', "at least one of teff, logg"),
    ],
)
def test_mistakes_show_before_packing(done, tmp_path, capsys, old, new, message):
    path = write(tmp_path, done.text, (old, new))
    with small_parts():
        assert main(["run", str(path)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_few_training_stars_are_a_warning_with_the_numbers(done, tmp_path):
    path = copied(done, tmp_path)
    with pytest.warns(UserWarning, match=r"49 training stars for 10 terms .* 100 or"):
        match_surveys(load(path))


def test_training_stars_without_spectra_are_counted(done, tmp_path):
    path = copied(done, tmp_path, "*.*")
    for link in (tmp_path / "run" / "packed" / "apogee").glob("part-*"):
        with SpectraFile(link) as file:
            stars, facts = file.stars, dict(file.facts)
            stars["id"] = [f"x{name}" for name in stars["id"]]
            flux, ivar = file.read_rows(0, file.n_stars)
            wavelength = file.wavelength
        link.unlink()
        kept = {key: facts[key] for key in ("PART", "PARTS", "SURVEY", "PACKING")}
        write_spectra(link, flux, ivar, wavelength, stars, False, facts=kept)
    with pytest.raises(InputError, match="training stars has packed spectra in both"):
        match_surveys(load(path))


# ---- the command line


def test_match_says_what_each_step_removed(done, tmp_path, capsys):
    path = copied(done, tmp_path, "*.*")
    with small_parts():
        assert main(["match", str(path)]) == 0
    said = capsys.readouterr().out
    for text in (
        "160  matched",
        "cuts of apogee",
        "flag_sp",
        "cuts of spectra",
        "training stars",
        "Giants",
        "teff (K)",
    ):
        assert text in said


def test_info_knows_the_files_of_a_run(done, capsys):
    for path, texts in (
        (done.folder / "training.fits", ["TRAINING", "teff_galah"]),
        (first_part(done, "galah"), ["survey", "galah", "air", "refused"]),
        (done.folder / "models" / "apogee-on-galah.fits", ["Chebyshev"]),
        (done.folder / "labels" / "galah-on-galah" / "part-00000.fits", ["LABELS"]),
    ):
        assert main(["info", str(path)]) == 0
        said = capsys.readouterr().out
        assert all(text in said for text in texts)


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
