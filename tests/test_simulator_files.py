"""Simulated surveys on disk: the layouts are the real ones, the numbers are right."""

import warnings

import numpy as np
import pytest
from astropy.io import ascii as text_tables
from astropy.io import fits

from fastcannon import config, surveys
from fastcannon.errors import InputError
from fastcannon.fitsfiles import hdu_to_table
from fastcannon.simulator import (
    apogee_spectra,
    galah_spectra,
    instruments,
    pipelines,
    simulate,
    survey,
)
from fastcannon.simulator.fitsbytes import blank_image, card, image, table, write
from fastcannon.simulator.survey import LABELS, default_overlap
from fastcannon.surveys.apogee import read_catalogue
from fastcannon.surveys.bitmasks import APOGEE_PIXMASK, STARFLAG

N_STARS, OVERLAP, SEED = 20, 8, 4
LIGHT = apogee_spectra.LIGHT


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with two small surveys and what simulate said of it."""
    folder = tmp_path_factory.mktemp("surveys") / "new"
    done = []
    count = simulate(folder, N_STARS, OVERLAP, SEED, processes=1, progress=done.append)
    assert sum(done) == 2 * N_STARS
    return folder, count


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def apogee_files(folder):
    return sorted(folder.glob("apogee/spectra/*/*/*Star-*.fits"))


def rows(path, extension=1):
    with fits.open(path, memmap=False) as hdus:
        return hdu_to_table(hdus[extension])


def contents(path):
    with fits.open(path, memmap=False) as hdus:
        hdus.verify("exception")
        return [(hdu.header, hdu.data) for hdu in hdus]


def visit(**changes):
    """A visit without defects of its own."""
    plain = {"snr": 100.0, "vhelio": 20.0, "bc": 5.0, "flag": 0}
    return plain | {"bad_fibre": False, "persistence": False} | changes


# The whole


def test_all_files_are_there_and_counted(made):
    folder, count = made
    assert count["stars"] == 2 * N_STARS - OVERLAP
    entries = rows(folder / "apogee/allStar-r12-l33.fits")
    truth = folder / "truth" / "truth.fits"
    visits, spectra = (rows(truth, name) for name in ("VISITS", "SPECTRA"))
    assert count["entries"] == len(entries) and count["visits"] == len(visits)
    assert entries["NVISITS"].sum() == len(visits)
    expected = {
        folder / "apogee/spectra" / row["TELESCOPE"] / row["FIELD"] / row["FILE"]
        for row in entries
    }
    assert expected == set(apogee_files(folder))
    arms = [
        folder
        / "galah/spectra"
        / str(row["sobject_id"])[:6]
        / f"{row['sobject_id']}{n}"
        for row in spectra
        for n in range(1, 5)
        if n != row["missing_arm"]
    ]
    found = {path.with_suffix("") for path in folder.glob("galah/spectra/*/*.fits")}
    assert set(arms) == found
    assert count["files"] == len(expected) + len(found)
    other = ("gaia/gaia.fits", "clusters/clusters.ecsv", "clusters/members.ecsv")
    for name in (*other, "isochrones/parsec.dat"):
        assert (folder / name).stat().st_size > 0


def test_catalogues_hide_the_truth_and_the_truth_knows_it(made):
    folder, _ = made
    for name in ("apogee/allStar-r12-l33", "galah/GALAH_DR3_main_allspec_v2"):
        columns = set(rows(folder / f"{name}.fits").colnames)
        assert not columns & {"star", "missing_arm", "bad_fibre"}
        assert not columns & {"VMICRO_ERR", "VBROAD_ERR"}
        assert not [column for column in columns if column.endswith("_scale")]
    stars = rows(folder / "truth" / "truth.fits", "STARS")
    expected = {*LABELS, "stage", "teff_apogee_scale", "rv_galah_scale"}
    assert expected <= set(stars.colnames)
    spectra = rows(folder / "galah/GALAH_DR3_main_allspec_v2.fits")
    best = rows(folder / "galah/GALAH_DR3_main_allstar_v2.fits")
    assert len(best) == N_STARS == len(set(spectra["star_id"]))


def test_bytes_do_not_depend_on_the_processes_but_on_the_seed(made, tmp_path):
    folder, _ = made
    simulate(tmp_path / "two", N_STARS, OVERLAP, SEED, processes=2)
    first, second = files(folder), files(tmp_path / "two")
    assert [p.relative_to(folder) for p in first] == [
        p.relative_to(tmp_path / "two") for p in second
    ]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one
    simulate(tmp_path / "other", 2, 1, SEED + 1, processes=1)
    stars = rows(tmp_path / "other/truth/truth.fits", "STARS")
    known = rows(folder / "truth/truth.fits", "STARS")
    assert not set(stars["source_id"]) & set(known["source_id"])


def test_a_simulation_that_was_stopped_is_not_taken_as_whole(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(survey, "write_galah", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "surveys", 2, 1, processes=1)
    assert apogee_files(tmp_path / "surveys" / survey.UNFINISHED)
    assert not (tmp_path / "surveys/fastcannon.toml").exists()
    monkeypatch.undo()
    simulate(tmp_path / "surveys", 2, 1, processes=1)  # begins anew
    assert not (tmp_path / "surveys" / survey.UNFINISHED).exists()
    simulate(tmp_path / "others", 2, 1, processes=1)
    one, other = (
        {p.relative_to(home): p.read_bytes() for p in home.rglob("*") if p.is_file()}
        for home in (tmp_path / "surveys", tmp_path / "others")
    )
    assert one == other


def test_every_cluster_has_its_isochrone(made):
    known = text_tables.read(made[0] / "clusters/clusters.ecsv")
    points = np.loadtxt(made[0] / "isochrones/parsec.dat", usecols=(1, 2))
    ours = sorted(zip(known["fe_h"], 9.0 + np.log10(known["age"]), strict=True))
    # Both are written with five digits after the point.
    np.testing.assert_allclose(np.unique(points, axis=0), ours, atol=1e-5)
    assert len(points) == 250 * len(known)


def test_errors_of_speeds_are_read_back_from_the_covariance(made):
    folder, _ = made
    found = read_catalogue(folder / "apogee/allStar-r12-l33.fits")
    stars = rows(folder / "truth/truth.fits", "STARS")
    for name in ("tmass", "population", "cluster", "stage"):
        stars[name] = stars[name].astype(str)
    entries, _ = pipelines.observe_apogee(stars, survey.stream(SEED, survey.APOGEE))
    assert (entries["VMICRO"] == found["vmicro"])[np.isfinite(found["vmicro"])].all()
    for label in ("vmicro", "vbroad"):
        known = np.isfinite(found[label])
        assert known.sum() > N_STARS // 2
        assert (np.isfinite(found[f"e_{label}"]) == known).all()
        drawn = np.asarray(entries[f"{label.upper()}_ERR"], float)[known]
        np.testing.assert_allclose(found[f"e_{label}"][known], drawn, rtol=1e-3)
    table = rows(folder / "apogee/allStar-r12-l33.fits")
    covariance = np.asarray(table["PARAM_COV"])
    assert covariance.shape == (len(table), 9, 9) and covariance.dtype.itemsize == 4
    good = np.asarray(table["TEFF"]) > -9000
    for i, name in ((0, "TEFF"), (1, "LOGG"), (3, "M_H"), (6, "ALPHA_M")):
        error = np.sqrt(covariance[good, i, i])
        np.testing.assert_allclose(error, table[f"{name}_ERR"][good], rtol=1e-5)
    assert not covariance[good][:, ~np.eye(9, dtype=bool)].any()
    assert (covariance[~good] == -9999).all()


def test_configuration_reads_and_finds_every_file(made):
    folder, count = made
    settings = config.read_config(folder / "fastcannon.toml")
    assert list(settings.surveys) == ["apogee", "galah"]
    found = [each.files() for each in settings.surveys.values()]
    assert len(found[0]) == count["entries"]
    assert len(found[0]) + len(found[1]) == count["files"]
    assert all(each.catalogue.is_file() for each in settings.surveys.values())


def test_readers_take_every_file_but_spectra_that_miss_an_arm(made):
    folder, count = made
    spectra = surveys.read("apogee", apogee_files(folder), visits=True)
    visits = spectra.table["visit"]
    assert spectra.refused == [] and np.count_nonzero(visits == 0) == count["entries"]
    assert np.count_nonzero(visits > 0) <= count["visits"]
    galah = surveys.read("galah", sorted(folder.glob("galah/spectra/*/*.fits")))
    truth = rows(folder / "truth/truth.fits", "SPECTRA")
    missing = np.count_nonzero(truth["missing_arm"])
    assert (len(galah), len(galah.refused)) == (count["spectra"] - missing, missing)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"n_stars": 0}, "n_stars is 0"),
        ({"n_stars": 3, "overlap": 4}, "overlap is 4"),
        ({"n_stars": 3, "seed": -1}, "seed is -1"),
        ({"n_stars": 3, "processes": 0}, "0"),
    ],
)
def test_impossible_requests_are_refused_before_writing(tmp_path, arguments, words):
    with pytest.raises(InputError, match=words):
        simulate(tmp_path / "none", **arguments)
    assert not (tmp_path / "none").exists()


def test_a_folder_with_files_or_a_file_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError, match="not an empty folder"):
            simulate(path, 2)
    assert [path.name for path in files(tmp_path)] == ["mine.txt"]


def test_overlap_is_a_tenth_but_enough_to_train_on():
    assert [default_overlap(n) for n in (20, 600, 3000, 10_000)] == [20, 600, 600, 1000]


# APOGEE


def test_apstar_files_have_the_layout_of_real_ones(made, data_dir):
    real = contents(data_dir / "apogee" / "apStar-dr17-2M17335483-2753043.fits")
    path = next(p for p in apogee_files(made[0]) if contents(p)[0][0]["NVISITS"] > 1)
    found = contents(path)
    # Release 17 added a second table of velocities.
    assert len(found) == len(real) - 1 == 10
    assert set(found[0][0]) <= set(real[0][0])
    needed = "CRVAL1 CDELT1 NWAVE OBJID FIELD SNR NVISITS VHELIO STARFLAG SFILE1 JD1 "
    needed += "FIBER1 VHELIO1 SNRVIS1 FLAG1 FLAG2 BC2 HISTORY"
    assert set(needed.split()) <= set(found[0][0])
    for (ours, data), (theirs, model) in zip(found[1:8], real[1:8], strict=True):
        assert data.shape[1] == model.shape[1] and data.dtype.kind == model.dtype.kind
        assert len(data) == found[0][0]["NVISITS"] + 2
        for key in ("BUNIT", "CRVAL1", "CDELT1", "CRPIX1", "CTYPE1"):
            assert ours[key] == theirs[key]
    assert found[8][1] is real[8][1] is None
    assert set(found[9][1].names) <= set(real[9][1].names)
    gaps = [np.isnan(data[0]).sum() for _, data in (found[1], real[1])]
    assert abs(gaps[0] - gaps[1]) <= 4


def test_gaps_are_nan_in_the_mean_and_zero_in_visits(made):
    singles = 0
    for path in apogee_files(made[0]):
        head, flux, error, mask = (contents(path)[i] for i in range(4))
        visits = head[0]["NVISITS"]
        assert len(flux[1]) == (2 if visits == 1 else visits + 2)
        assert (np.isnan(flux[1][0]) == ~LIGHT).all()
        assert (np.isnan(error[1][0]) == ~LIGHT).all()
        if visits == 1:
            singles += 1
            assert not flux[1][1].any() and not error[1][1].any()
        else:
            assert (np.isnan(flux[1][1]) == ~LIGHT).all()
            assert (flux[1][2:, ~LIGHT] == 0).all() and (flux[1][2:, LIGHT] != 0).all()
        assert not mask[1][:, ~LIGHT].any()
    assert 0 < singles < len(apogee_files(made[0]))


def test_mean_is_that_of_the_visits_by_their_errors(made):
    path = next(p for p in apogee_files(made[0]) if contents(p)[0][0]["NVISITS"] > 1)
    flux, error, mask = (contents(path)[i][1] for i in (1, 2, 3))
    weight = 1.0 / error[2:, LIGHT].astype(float) ** 2
    mean = (weight * flux[2:, LIGHT]).sum(axis=0) / weight.sum(axis=0)
    np.testing.assert_allclose(flux[0, LIGHT], mean, rtol=1e-5)
    np.testing.assert_allclose(error[0, LIGHT], weight.sum(axis=0) ** -0.5, rtol=1e-5)
    assert (mask[0] == np.bitwise_and.reduce(mask[2:], axis=0)).all()
    assert not mask[1].any()


def test_signal_to_noise_of_files_is_that_of_the_catalogue(made):
    entries = rows(made[0] / "apogee/allStar-r12-l33.fits")
    places = zip(entries["FIELD"], entries["FILE"], strict=True)
    stated = dict(zip(places, entries["SNR"], strict=True))
    ratio = []
    for path in apogee_files(made[0]):
        snr = contents(path)[0][0]["SNR"]
        ratio.append(snr / stated[path.parent.name, path.name])
    # Measured of 300 stars: 0.92 to 0.99; sky lines and absorption take some.
    assert min(ratio) > 0.85 and max(ratio) < 1.05


def test_noise_of_visits_is_as_their_errors_say():
    rng = np.random.default_rng(0)
    clean = np.ones(instruments.APOGEE_PIXELS, np.float32)
    pulls = []
    for snr in (20.0, 100.0, 100.0, 300.0):
        flux, error, mask = apogee_spectra.observe_visit(
            clean, visit(snr=snr), 11.0, rng
        )
        good = LIGHT & (mask & ~apogee_spectra.PERSIST_LOW == 0) & (error < 10.0 * flux)
        pair = good[:-1] & good[1:]
        # Neighbours share the continuum: they differ by noise alone.
        step, width = np.diff(flux), np.hypot(error[:-1], error[1:])
        pulls.append(step[pair] / width[pair])
    pulls = np.concatenate(pulls)
    assert len(pulls) > 15_000
    # Measured: 0.99 to 1.01. A few cosmic rays are not found.
    assert np.percentile(np.abs(pulls), 68.27) == pytest.approx(1.0, abs=0.02)
    assert 0 < np.mean(np.abs(pulls) > 6.0) < 0.002


def test_bad_pixels_tell_by_their_bits_and_errors():
    rng = np.random.default_rng(1)
    clean = np.ones(instruments.APOGEE_PIXELS, np.float32)
    flux, error, mask = apogee_spectra.observe_visit(clean, visit(), 11.0, rng)
    bad = mask & (apogee_spectra.BADPIX | apogee_spectra.CRPIX) != 0
    assert 0.01 < bad[LIGHT].mean() < 0.03 and (error[bad] > 1e10).all()
    # The largest factor counts once: real errors end at 1.5e14 as well.
    assert error.max() < 1e2 * np.median(error[bad])
    assert (mask[error > 1e10] & apogee_spectra.CRPIX != 0).any()
    beside = (error > 1e3 * flux) & ~bad & LIGHT
    assert beside.any() and np.isfinite(error).all()  # large errors without a bit
    for bit in ("BADDARK", "BADFLAT", "NOSKY", "LITTROW_GHOST", "PERSIST_LOW"):
        assert (mask & getattr(apogee_spectra, bit)).any(), bit
    for bit in (apogee_spectra.SIG_SKYLINE, apogee_spectra.SIG_TELLURIC):
        marked = (mask & bit != 0) & ~bad
        quiet = (mask == 0) & LIGHT
        assert np.median(error[marked]) > 1.2 * np.median(error[quiet])


def test_persistence_has_the_same_bits_in_pixels_and_visits():
    for name in pipelines.PERSISTENCE:
        assert STARFLAG.value(name) == APOGEE_PIXMASK.value(name)
        assert STARFLAG.value(name) in [
            entry[0] for entry in apogee_spectra.PERSISTENCE
        ]


def test_persistence_lifts_the_blue_detector_and_bad_fibres_fail():
    clean = np.full(instruments.APOGEE_PIXELS, 0.5, np.float32)

    def observed(**changes):
        rng = np.random.default_rng(2)
        return apogee_spectra.observe_visit(clean, visit(snr=1e3, **changes), 11.0, rng)

    plain, bits = observed()[0], apogee_spectra.PERSIST_HIGH
    flux, _, mask = observed(persistence=True, flag=bits)
    blue, green, _ = (slice(*ends) for ends in instruments.DETECTORS)
    assert np.median(flux[blue]) > 1.1 * np.median(plain[blue])
    assert np.median(flux[green]) == pytest.approx(np.median(plain[green]), rel=0.1)
    assert (mask[blue] & bits).all() and not (mask[green] & bits).any()
    dark = observed(bad_fibre=True)[0]
    assert np.median(dark[LIGHT]) < 0.1 * np.median(plain[LIGHT])


def test_spectra_from_bad_fibres_have_the_noise_of_little_light():
    snr = np.array([20.0, 100.0, 300.0])
    low = instruments.dimmed(snr, 0.05, 150.0)
    electrons = instruments.electrons_for(snr, 150.0)
    left = instruments.electrons_for(low, 150.0)
    np.testing.assert_allclose(left, 0.05 * electrons, rtol=1e-12)
    clean = np.ones(instruments.APOGEE_PIXELS, np.float32)
    rng = np.random.default_rng(3)
    seen = visit(snr=low[1], bad_fibre=True)
    flux, error, _ = apogee_spectra.observe_visit(clean, seen, 11.0, rng)
    # Measured 0.95.
    found = apogee_spectra.signal_to_noise(flux, error)
    assert found == pytest.approx(low[1], rel=0.1)


# GALAH


def test_galah_files_have_the_layout_of_real_ones(made, data_dir):
    spectra = rows(made[0] / "truth/truth.fits", "SPECTRA")
    name = spectra["sobject_id"][spectra["missing_arm"] == 0][0]
    for arm in range(1, 5):
        real = contents(data_dir / "galah_dr3" / f"131123003001096{arm}.fits")
        path = made[0] / "galah" / "spectra" / str(name)[:6] / f"{name}{arm}.fits"
        found = contents(path)
        assert len(found) == len(real) == 5
        for (ours, data), (theirs, model) in zip(found, real, strict=True):
            assert data.dtype == model.dtype and 4096 <= data.shape[0] <= 4112
            assert ours.get("EXTNAME") in (theirs.get("EXTNAME"), "")
            assert ours["CRVAL1"] == pytest.approx(theirs["CRVAL1"], abs=12.0)
            assert ours["CDELT1"] == pytest.approx(theirs["CDELT1"], rel=2e-3)
            assert ours["CRPIX1"] == theirs["CRPIX1"] == 1.0
        assert set(found[0][0]) <= set(real[0][0]) | {"HISTORY"}


def test_arms_lie_on_grids_of_their_own_moved_to_rest(made):
    spectra = rows(made[0] / "galah/GALAH_DR3_main_allspec_v2.fits")
    starts = set()
    for row in spectra[np.isfinite(spectra["rv_galah"])]:
        for path in made[0].glob(f"galah/spectra/*/{row['sobject_id']}?.fits"):
            hdus = contents(path)
            ratio = hdus[0][0]["CRVAL1"] / hdus[4][0]["CRVAL1"]
            rv = (ratio - 1.0) * 299792.458
            assert rv == pytest.approx(row["rv_galah"], abs=1e-3)
            starts.add(hdus[0][0]["CRVAL1"])
    assert len(starts) > 4 * 10


def clean_arms():
    """The flux of the Sun, S/N 60, in four arms without noise."""
    sun = {"teff": 5772.0, "logg": 4.44, "vmicro": 1.1, "vbroad": 5.0}
    stars = {name: np.array([sun.get(name, 0.0)]) for name in LABELS}
    return [flux[0] for flux in instruments.galah_flux(stars)]


def exposure(**changes):
    row = {f"snr_c{arm}_iraf": 60.0 for arm in range(1, 5)}
    row |= {"rv": 30.0, "rv_galah": 30.0, "missing_arm": 0, "bad_fibre": False}
    return row | changes


def test_normalised_flux_is_the_model_at_rest_with_noise_as_told():
    clean = clean_arms()
    arms = galah_spectra.observe(clean, exposure(), np.random.default_rng(5))
    for i, (number, arm) in enumerate(arms.items()):
        wavelength = arm.rest_start + arm.rest_step * np.arange(len(arm.counts))
        model = instruments.sample(clean[i], instruments.arm_grids()[i], wavelength)
        good = (arm.sigma > 0) & (arm.sigma < 0.2)
        flux, sigma = arm.normalised[good], arm.sigma[good]
        pulls = (flux - model[good]) / (sigma * flux)
        # Measured: 0.98 to 1.06, by the continuum's misfit; of medians: 0.25.
        assert number == i + 1 and good.mean() > 0.99
        assert np.percentile(np.abs(pulls), 68.27) == pytest.approx(1.0, abs=0.08)
        assert abs(np.median(pulls)) < 0.35


def test_counts_move_with_the_star_and_rest_is_where_the_pipeline_found_it():
    clean, shifts = clean_arms(), np.arange(-4.0, 4.1, 0.25)
    row = exposure(rv_galah=32.0) | {f"snr_c{arm}_iraf": 400.0 for arm in range(1, 5)}
    arms = galah_spectra.observe(clean, row, np.random.default_rng(9))

    def velocity(i, flux, start, step):
        at = start + step * np.arange(len(flux))
        off = []
        for shift in shifts:
            stretch = 1.0 - shift / 299792.458
            model = instruments.sample(
                clean[i], instruments.arm_grids()[i], at * stretch
            )
            off.append(
                np.median(np.abs(np.diff(flux / np.median(flux)) - np.diff(model)))
            )
        return shifts[np.argmin(off)]

    for i, arm in enumerate(list(arms.values())[:3]):
        start, step = (x / (1.0 + 30.0 / 299792.458) for x in (arm.start, arm.step))
        assert abs(velocity(i, arm.counts, start, step)) <= 0.25
        rest = velocity(i, arm.normalised, arm.rest_start, arm.rest_step)
        assert rest == pytest.approx(-2.0, abs=0.3)


def test_errors_are_relative_and_some_are_no_errors():
    row = exposure(snr_c1_iraf=1.0)
    arms = galah_spectra.observe(clean_arms(), row, np.random.default_rng(6))
    faint = arms[1]
    assert ((faint.sigma < 0) == (faint.counts < 0)).sum() > 4000  # 0 in a few
    assert (faint.sigma < 0).mean() > 0.05 and np.isfinite(faint.sigma).all()
    bright = arms[3]
    assert np.median(bright.sigma) == pytest.approx(1 / 60.0, rel=0.15)
    assert (bright.with_sky > bright.counts).all()
    assert 0 < np.count_nonzero(np.concatenate([a.sigma for a in arms.values()]) == 0)


def test_missing_arms_and_bad_fibres():
    clean, rng = clean_arms(), np.random.default_rng(7)
    row = exposure(missing_arm=2, snr_c2_iraf=np.nan)
    arms = galah_spectra.observe(clean, row, rng)
    assert list(arms) == [1, 3, 4]
    plain = galah_spectra.observe(clean, exposure(), np.random.default_rng(8))
    low = instruments.dimmed(60.0, galah_spectra.BAD_FIBRE_LEVEL, 60.0)
    row = exposure(bad_fibre=True) | {f"snr_c{arm}_iraf": low for arm in range(1, 5)}
    dark = galah_spectra.observe(clean, row, np.random.default_rng(8))
    for number in plain:
        level = [np.median(arms[number].counts) for arms in (plain, dark)]
        assert level[1] < 0.15 * level[0]
        noise = [np.median(np.abs(arms[number].sigma)) for arms in (plain, dark)]
        assert noise[1] > 3.0 * noise[0]  # the light itself: root of 10, read-out 10


# Bytes


def test_cards_are_eighty_characters_and_read_back():
    entries = [
        ("TEXT", "it's", "of a star"),
        ("LONG", "x" * 60, "a comment that is cut"),
        ("WHOLE", -9999),
        ("PART", 1e-7),
        ("YES", True),
        ("NONE", np.nan),
    ]
    for entry in entries:
        text = card(*entry)
        assert len(text) == 80
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = fits.Card.fromstring(text)
            found.verify("exception")
        if entry[0] == "NONE":
            assert isinstance(found.value, fits.card.Undefined)
        else:
            assert found.value == entry[1] and type(found.value) is type(entry[1])
    assert card("HISTORY", "told") == "HISTORY told".ljust(80)


def test_images_tables_and_holes_read_back(tmp_path):
    people = np.zeros(3, [("name", "S5"), ("x", "f8"), ("n", "i4")])
    people["name"], people["x"], people["n"] = b"abc", [1.5, np.nan, -1.0], [1, 2, 3]
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    parts = [
        image(None, [("KEY", 1)], primary=True),
        image(array),
        *blank_image("i2", (5, 2000)),
        table(people),
        *blank_image("f4", (10,)),
    ]
    write(tmp_path / "new" / "file.fits", parts)
    found = contents(tmp_path / "new" / "file.fits")
    assert found[0][0]["KEY"] == 1 and (found[1][1] == array).all()
    assert found[2][1].shape == (5, 2000) and not found[2][1].any()
    assert found[2][1].dtype.kind == "i" and not found[4][1].any()
    assert list(found[3][1]["name"]) == ["abc"] * 3
    np.testing.assert_array_equal(found[3][1]["x"], people["x"])
    assert (tmp_path / "new" / "file.fits").stat().st_size % 2880 == 0
