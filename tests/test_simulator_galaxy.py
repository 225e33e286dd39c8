"""The simulated Galaxy: stars, clusters, isochrones and Gaia's table of them."""

import io
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import ascii as text_tables

from fastcannon.errors import InputError
from fastcannon.simulator import clusters, gaia, galaxy, isochrones, sky
from fastcannon.simulator.parameters import parameters

N_STARS, OVERLAP = 12000, 4000


@pytest.fixture(scope="module")
def stars():
    return galaxy.draw(N_STARS, OVERLAP, np.random.default_rng(5))


def values(table, *names):
    return [np.asarray(table[name]) for name in names]


def coordinates(stars):
    ra, dec, distance, pmra, pmdec, rv = values(
        stars, "ra", "dec", "distance", "pmra", "pmdec", "rv"
    )
    return SkyCoord(
        ra * u.deg,
        dec * u.deg,
        distance=distance * u.pc,
        pm_ra_cosdec=pmra * u.mas / u.yr,
        pm_dec=pmdec * u.mas / u.yr,
        radial_velocity=rv * u.km / u.s,
    ).galactic


# Stars


def test_the_counts_are_exact(stars):
    apogee, in_galah = values(stars, "in_apogee", "in_galah")
    assert len(stars) == 2 * N_STARS - OVERLAP
    assert apogee.sum() == in_galah.sum() == N_STARS
    assert (apogee & in_galah).sum() == OVERLAP
    assert (apogee | in_galah).all()
    assert (np.asarray(stars["star"]) == np.arange(len(stars))).all()
    assert stars.colnames == galaxy.COLUMNS
    share = parameters()["galaxy"]["cluster_share"]
    assert np.count_nonzero(stars["cluster"] != "") == int(share * len(stars))


@pytest.mark.parametrize("n_stars, overlap", [(1, 0), (1, 1), (2, 1), (3, 0)])
def test_a_handful_of_stars_can_be_drawn(n_stars, overlap):
    few = galaxy.draw(n_stars, overlap, np.random.default_rng(1))
    assert len(few) == 2 * n_stars - overlap
    members = clusters.members(few, np.random.default_rng(1))
    assert len(members) == 0 and members.colnames[0] == "cluster"


@pytest.mark.parametrize("n_stars, overlap", [(0, 0), (10, 11), (10, -1), (2.5, 1)])
def test_impossible_counts_are_refused(n_stars, overlap):
    with pytest.raises(InputError, match=r"overlap|n_stars"):
        galaxy.draw(n_stars, overlap, np.random.default_rng(0))


def test_a_seed_fixes_everything(stars):
    again = galaxy.draw(N_STARS, OVERLAP, np.random.default_rng(5))
    other = galaxy.draw(N_STARS, OVERLAP, np.random.default_rng(6))
    assert all((again[name] == stars[name]).all() for name in stars.colnames)
    assert not (other["source_id"] == stars["source_id"]).any()


def test_every_column_is_finite_with_its_unit(stars):
    for name, unit in galaxy.UNITS.items():
        assert np.isfinite(stars[name]).all(), name
        assert stars[name].unit == unit
    assert stars["source_id"].dtype == np.int64


def test_ids_are_unique_and_formed_as_the_surveys_form_them(stars):
    source_id, tmass = values(stars, "source_id", "tmass")
    assert len(np.unique(source_id)) == len(np.unique(tmass)) == len(stars)
    assert source_id.min() > 0
    assert all(re.fullmatch(r"\d{8}[+-]\d{7}", name) for name in tmass)


def test_2mass_names_are_the_positions_at_their_epoch_cut_off(stars):
    ra, dec = sky.positions_at(stars[:300], 2000.0)
    names = [
        f"{n[:2]} {n[2:4]} {n[4:6]}.{n[6:8]} {n[8:11]} {n[11:13]} {n[13:15]}.{n[15]}"
        for n in stars["tmass"][:300]
    ]
    read = SkyCoord(names, unit=(u.hourangle, u.deg))
    east = (ra - read.ra.deg) * 3600.0
    north = (np.abs(dec) - np.abs(read.dec.deg)) * 3600.0
    assert east.min() > -1e-6 and east.max() < 0.15 + 1e-6
    assert north.min() > -1e-6 and north.max() < 0.1 + 1e-6


def test_known_2mass_names():
    names = sky.tmass_names([0.0, 359.99999, 15.0], [-0.00003, 89.99999, -1.5])
    assert list(names) == ["00000000-0000001", "23595999+8959599", "01000000-0130000"]


def test_stars_that_would_share_a_name_are_moved(stars):
    two = stars[:2].copy()
    two["ra"][1], two["dec"][1] = two["ra"][0], two["dec"][0]
    two["pmra"], two["pmdec"] = 0.0, 0.0
    galaxy._add_names(two)
    assert two["tmass"][0] != two["tmass"][1]
    assert abs(two["dec"][1] - two["dec"][0]) < 2.0 / 3600.0


def test_the_overlap_resembles_the_training_set(stars):
    both = stars[stars["in_apogee"] & stars["in_galah"]]
    teff, logg, fe_h = values(both, "teff", "logg", "fe_h")
    assert 0.35 < (logg < 3.5).mean() < 0.47  # measured 0.39-0.42
    assert ((teff > 4000) & (teff < 7000)).mean() > 0.9
    assert 0.01 < (fe_h < -1.0).mean() < 0.08
    alone = stars[~stars["in_galah"]], stars[~stars["in_apogee"]]
    assert (alone[0]["logg"] < 3.5).mean() > 0.6 > 0.4 > (alone[1]["logg"] < 3.5).mean()


def test_outsiders_are_not_among_the_common_stars(stars):
    both = np.asarray(stars["in_apogee"] & stars["in_galah"])
    teff, logg, stage = values(stars, "teff", "logg", "stage")
    field = np.asarray(stars["cluster"]) == ""
    m_dwarf, hot = (teff < 4000) & (logg > 4.4), teff > 7000
    for name, outside, least in (("cool", m_dwarf, 0.02), ("hot", hot, 0.01)):
        chosen = stage == name
        assert not (chosen & both).any()
        assert least < chosen[~both].mean() < 0.05
        assert outside[chosen].mean() > 0.85, name
        # What is left is the hot end of the disc's dwarfs: measured 0 and 0.7-1.0 %.
        assert outside[field & both].mean() < 0.015
    assert teff[field & both].max() < 7600.0 < np.median(teff[stage == "hot"])


def test_stages_say_where_stars_are(stars):
    stage, logg, cluster = values(stars, "stage", "logg", "cluster")
    dwarfs = {"dwarf", "subgiant", "cool", "hot"}
    assert set(stage) == dwarfs | {"giant", "clump", "asymptotic"}
    assert (cluster[stage == "asymptotic"] != "").all()
    assert (logg[stage == "cool"] > 4.3).all()
    low = np.isin(stage, ["giant", "clump", "asymptotic"])
    assert np.median(logg[low]) < 3.0 and (logg[stage == "dwarf"] > 3.0).all()
    clump = logg[(stage == "clump") & (cluster == "")]
    assert np.ptp(np.percentile(clump, (5, 95))) < 0.4


def test_the_footprints_are_kept(stars):
    field = stars[stars["in_galah"] & (stars["cluster"] == "")]
    latitude = coordinates(field).b.deg
    # The place of the Sun above the plane tilts the frame by 0.14 deg.
    assert np.abs(latitude).min() > 10.0 - 0.2
    assert field["dec"].max() < 10.0 + 0.2
    assert stars["dec"][stars["in_apogee"]].max() > 60.0


def vertical_slopes(stars):
    """Slopes of [Fe/H] of the thin disc in |z|, north and south, other trends off."""
    thin = stars[stars["population"] == "thin"]
    place = coordinates(thin).cartesian.xyz.to_value("kpc")
    height = place[2] + parameters()["galaxy"]["sun_height"]
    from_sun = np.hypot(place[0] - 8.2, place[1]) - 8.2
    north = height > 0
    rows = np.stack(
        [
            np.ones(len(thin)),
            np.abs(height) * north,
            np.abs(height) * ~north,
            from_sun,
            np.asarray(thin["age"]),
        ]
    )
    near = (np.abs(height) < 2.0) & (np.abs(from_sun) < 4.0)
    return np.linalg.lstsq(rows[:, near].T, np.asarray(thin["fe_h"])[near], rcond=None)[
        0
    ]


def test_the_thin_disc_has_its_gradients_and_no_asymmetry(stars):
    _, north, south, radial, age = vertical_slopes(stars)
    # Scatter 0.15 dex over 14,000 stars: 0.004 in the vertical slopes.
    assert north == pytest.approx(-0.20, abs=0.02)
    assert south == pytest.approx(-0.20, abs=0.02)
    assert radial == pytest.approx(-0.06, abs=0.01)
    assert age == pytest.approx(-0.015, abs=0.004)


def test_an_asymmetry_can_be_asked_for():
    lopsided = galaxy.draw(N_STARS, 0, np.random.default_rng(5), asymmetry=0.2)
    _, north, south, _, _ = vertical_slopes(lopsided)
    assert north - south == pytest.approx(0.2, abs=0.03)


def test_the_populations_differ_as_they_should(stars):
    thin, thick, halo = (stars[stars["population"] == n] for n in galaxy.POPULATIONS)
    near = [each[np.abs(each["fe_h"] + 0.4) < 0.15] for each in (thin, thick)]
    assert near[1]["alpha_fe"].mean() - near[0]["alpha_fe"].mean() > 0.12
    assert halo["fe_h"].mean() < -1.3 and halo["fe_h"].max() <= -0.8
    assert thin["age"].mean() < thick["age"].mean() < halo["age"].mean()
    assert np.std(thin["rv"]) < np.std(thick["rv"]) < np.std(halo["rv"])
    together = np.corrcoef(stars["mg_fe"], stars["alpha_fe"])[0, 1]
    assert 0.9 < together < 0.99
    assert stars["vmicro"].min() > 0.3 and stars["vbroad"].min() >= 3.0
    hot = (stars["teff"] > 6700) & (stars["logg"] > 3.5)
    assert np.median(stars["vbroad"][hot]) > 2 * np.median(stars["vbroad"][~hot])


def test_the_near_disc_moves_as_the_sun_sees_it(stars):
    near = stars[(stars["population"] == "thin") & (stars["distance"] < 500.0)]
    velocity = coordinates(near).velocity.d_xyz.to_value("km/s")
    # 2,500 stars of 35 km/s: 0.7 km/s. The mean is minus the Sun's motion, and the lag.
    assert velocity.mean(axis=1) == pytest.approx([-11.1, -24.2, -7.3], abs=3.0)
    assert velocity.std(axis=1) == pytest.approx([35.0, 23.0, 18.0], rel=0.1)


def test_stars_lie_on_their_isochrones_at_their_distances(stars):
    teff, logg, gmag, distance = values(stars, "teff", "logg", "gmag", "distance")
    assert values(stars, "parallax")[0] * distance == pytest.approx(1000.0)
    absolute = gmag - 5.0 * np.log10(distance / 10.0)
    for i in range(0, len(stars), 400):
        points = isochrones.isochrone(stars["age"][i], stars["fe_h"][i], 3000)
        off = np.hypot(
            (np.asarray(points["teff"]) - teff[i]) / 100.0,
            (np.asarray(points["logg"]) - logg[i]) / 0.1,
        )
        nearest = np.argmin(off)
        # Half a step of the table: at most 0.2 measured, in the fast phases.
        assert off[nearest] < 0.5
        assert points["gmag"][nearest] == pytest.approx(absolute[i], abs=0.3)


# Clusters


def test_the_clusters_are_those_of_the_paper_and_more():
    table = clusters.table()
    assert len(np.unique(table["name"])) == len(table) == 14
    assert set(table["type"]) == {"open", "globular"}
    papers = ["Blanco 1", "IC 4665", "Melotte 22", "NGC 2682", "Ruprecht 147"]
    papers += ["NGC 104", "NGC 2808", "NGC 288", "NGC 6121", "NGC 6809"]
    assert set(papers) <= set(table["name"])
    assert table["distance"].unit == "pc" and table["age"].unit == "Gyr"


def test_members_share_labels_place_and_motion(stars):
    scatter = parameters()["clusters"]["label_scatter"]
    for cluster in clusters.table():
        members = stars[stars["cluster"] == cluster["name"]]
        assert len(members) > 10
        assert (members["population"] == "cluster").all()
        assert (members["age"] == cluster["age"]).all()
        for label in ("fe_h", "alpha_fe"):
            off = np.asarray(members[label]) - cluster[label]
            # The error of a standard deviation of N is 1 / sqrt(2 N) of it.
            width = 4.0 * scatter / np.sqrt(len(members))
            assert off.mean() == pytest.approx(0.0, abs=width)
            assert off.std(ddof=1) == pytest.approx(scatter, abs=width)
        assert np.median(members["rv"]) == pytest.approx(cluster["rv"], abs=12.0)
        assert np.median(members["pmra"]) == pytest.approx(cluster["pmra"], abs=1.5)
        assert np.median(members["distance"]) == pytest.approx(
            cluster["distance"], rel=0.02
        )
        centre = SkyCoord(cluster["ra"], cluster["dec"], unit="deg")
        at = SkyCoord(members["ra"], members["dec"], unit="deg")
        assert centre.separation(at).max() < 6.0 * u.deg


def test_members_lie_on_the_isochrone_of_their_cluster(stars):
    for cluster in clusters.table():
        members = stars[stars["cluster"] == cluster["name"]]
        points = isochrones.isochrone(cluster["age"], cluster["fe_h"], 2000)
        d_teff = np.subtract.outer(
            values(members, "teff")[0], values(points, "teff")[0]
        )
        d_logg = np.subtract.outer(
            values(members, "logg")[0], values(points, "logg")[0]
        )
        off = np.hypot(d_teff / 100.0, d_logg / 0.1).min(axis=1)
        # 0.02 dex of [Fe/H] move the giant branch by 10 K; measured medians to
        # 0.09, and 1.0 at the tip, where the branch lies flat.
        assert np.median(off) < 0.15 and off.max() < 2.0, cluster["name"]


def test_the_membership_table_has_true_and_false_members(stars):
    table = clusters.members(stars, np.random.default_rng(3))
    of = dict(zip(stars["source_id"], stars["cluster"], strict=True))
    true = np.array([of[row["source_id"]] == row["cluster"] for row in table])
    assert true.sum() == np.count_nonzero(stars["cluster"] != "")
    assert 0.08 < (~true).sum() / true.sum() < 0.16
    assert all(of[i] == "" for i in table["source_id"][~true])
    pairs = set(zip(table["cluster"], table["source_id"], strict=True))
    assert len(pairs) == len(table)
    probability = np.asarray(table["probability"])
    assert probability.min() >= 0.0 and probability.max() <= 1.0
    assert (probability[true] > 0.5).mean() > 0.9
    assert 0.02 < (probability[~true] > 0.5).mean() < 0.4  # some pass the usual cut


# Isochrones


def test_the_sun_is_on_its_isochrone():
    tau = isochrones.main_sequence_tau(1.0, 4.6, 0.0)
    sun = isochrones.stars_on_isochrones(tau, 4.6, 0.0)
    assert sun["teff"] == pytest.approx(5772.0, abs=20.0)
    assert sun["logg"] == pytest.approx(4.438, abs=0.01)
    assert sun["gmag"] == pytest.approx(4.67, abs=0.03)
    assert sun["bp"] - sun["rp"] == pytest.approx(0.82, abs=0.02)


def test_mass_and_tau_are_inverse():
    tau, age, fe_h = (
        np.array([0.1, 0.9, 1.3]),
        np.array([1.0, 5, 12]),
        np.array([0, -2, 0.3]),
    )
    mass = isochrones.main_sequence_mass(tau, age, fe_h)
    assert isochrones.main_sequence_tau(mass, age, fe_h) == pytest.approx(
        tau, rel=1e-12
    )


def test_older_and_richer_isochrones_are_cooler_at_the_turn_off():
    hottest = [isochrones.isochrone(age, 0.0)["teff"].max() for age in (1, 4, 12)]
    assert hottest[0] > hottest[1] + 500 and hottest[1] > hottest[2] + 300
    poor, rich = isochrones.isochrone(12.0, -1.5), isochrones.isochrone(12.0, 0.2)
    assert poor["teff"].max() > rich["teff"].max() + 500
    bright = [np.interp(2.0, t["logg"][::-1], t["teff"][::-1]) for t in (poor, rich)]
    assert bright[0] > bright[1] + 300


def test_the_stages_join_without_a_jump_until_the_clump():
    points = isochrones.isochrone(5.0, 0.0, 4000)
    before = np.asarray(points["tau"]) < isochrones.CLUMP - 1e-3
    steps = np.diff(np.log10(points["teff"][before]))
    assert np.abs(steps).max() < 0.01  # measured 0.002
    assert (np.diff(points["mass"]) > 0).all()
    assert list(np.unique(points["label"])) == [1, 2, 3, 4, 7]
    assert points["logg"].min() > -0.5 and points["teff"].min() > 2700


def test_the_text_of_isochrones_reads_as_that_of_cmd():
    text = isochrones.cmd_text((1.0, 4.0, 12.0) * 2, (-1.0,) * 3 + (0.0,) * 3)
    lines = text.splitlines()
    heads = [line for line in lines if line.startswith("# Zini")]
    assert len(heads) == 6 and len(set(heads)) == 1
    assert lines[-1] == "#isochrone terminated" and text.endswith("\n")
    names = heads[0].lstrip("# ").split()
    start = "Zini MH logAge Mini int_IMF Mass logL logTe logg label McoreTP C_O"
    assert " ".join(names).startswith(start)
    table = text_tables.read(text, format="no_header", names=names, comment="#")
    assert np.loadtxt(io.StringIO(text)).shape == (len(table), len(names))
    ages = sorted(set(zip(table["MH"], table["logAge"], strict=True)))
    assert ages == [(mh, a) for mh in (-1.0, 0.0) for a in (9.0, 9.60206, 10.07918)]
    logg = 4.438 + np.log10(table["Mass"]) + 4.0 * (table["logTe"] - np.log10(5772.0))
    # Teff is written to 0.0001 dex, log L and log g to 0.001.
    assert np.abs(logg - table["logL"] - table["logg"]).max() < 0.0015
    assert (
        (table["G_BPmag"] > table["Gmag"]) == (table["Gmag"] > table["G_RPmag"])
    ).all()
    for part in range(6):
        block = table[part * 250 : (part + 1) * 250]
        assert (np.diff(block["Mini"]) > 0).all() and (
            np.diff(block["int_IMF"]) > 0
        ).all()


# Gaia


def test_gaias_errors_are_honest(stars):
    table = gaia.table(stars, np.random.default_rng(8))
    for name in ("parallax", "pmra", "pmdec"):
        off = np.asarray(table[name]) - np.asarray(stars[name])
        pull = off / np.asarray(table[f"{name}_error"])
        # 20,000 stars: 0.007 in the mean, 0.005 in the width.
        assert pull.mean() == pytest.approx(0.0, abs=0.03)
        assert pull.std() == pytest.approx(1.0, abs=0.02)
    assert (table["source_id"] == stars["source_id"]).all()
    assert np.std(np.asarray(table["phot_g_mean_mag"] - stars["gmag"])) < 0.01
    assert table["r_est"].unit == "pc" and table["ref_epoch"][0] == 2016.0


def test_a_few_sources_have_another_id_in_dr2(stars):
    old, new = gaia.dr2_source_id(stars["source_id"]), np.asarray(stars["source_id"])
    assert 0.02 < (old != new).mean() < 0.045  # 1 / 32
    assert len(np.unique(old)) == len(stars)
    assert not set(old[old != new]) & set(new)


def test_distances_cover_the_truth(stars):
    table = gaia.table(stars, np.random.default_rng(8))
    middle, low, high, error = values(table, "r_est", "r_lo", "r_hi", "parallax_error")
    assert (low < middle).all() and (middle < high).all()
    distance, parallax = values(stars, "distance", "parallax")
    precise = parallax / error > 20.0
    inside = (low < distance) & (distance < high)
    # 12,000 stars: 0.004.
    assert inside[precise].mean() == pytest.approx(0.683, abs=0.015)
    assert inside.mean() == pytest.approx(0.683, abs=0.04)


@pytest.mark.parametrize("parallax, error", [(5.0, 0.02), (0.5, 0.05), (-0.1, 0.2)])
def test_distance_quantiles_are_those_of_the_posterior(parallax, error):
    fine = np.linspace(1.0, 40000.0, 4_000_000)
    log_density = -0.5 * ((parallax - 1000.0 / fine) / error) ** 2
    log_density += 2.0 * np.log(fine) - fine / 1350.0
    share = np.cumsum(np.exp(log_density - log_density.max()))
    expected = fine[np.searchsorted(share / share[-1], (0.15866, 0.5, 0.84134))]
    found = gaia.distance_quantiles(np.array([parallax]), np.array([error]))[:, 0]
    assert found == pytest.approx(expected, rel=3e-3)  # measured 1e-3


# Sky and parameters


def test_galactic_coordinates_are_astropys(stars):
    longitude, latitude = sky.galactic(*values(stars, "ra", "dec"))
    there = coordinates(stars)
    turn = (longitude - there.l.deg + 180.0) % 360.0 - 180.0
    assert np.abs(turn * np.cos(there.b.rad)).max() < 1e-4
    assert np.abs(latitude - there.b.deg).max() < 1e-4
    back = sky.declination(np.radians(longitude), np.radians(latitude))
    assert back == pytest.approx(values(stars, "dec")[0], abs=1e-6)


def test_positions_move_with_proper_motion():
    star = {"ra": [359.9999], "dec": [60.0], "pmra": [1000.0], "pmdec": [-500.0]}
    ra, dec = sky.positions_at(star, 2026.0)
    assert dec[0] == pytest.approx(60.0 - 5.0 / 3600.0, abs=1e-10)
    assert ra[0] == pytest.approx(359.9999 + 20.0 / 3600.0 - 360.0, abs=1e-10)


def test_every_parameter_is_read():
    folder = Path(galaxy.__file__).parent
    sources = "".join(path.read_text("ascii") for path in folder.glob("*.py"))
    whole = {"stages", "visit_flags", "flags"}  # read without their keys
    # Read by composed names, or (paper) by nobody: what constants were calibrated to.
    known = {"apogee_snr", "galah_snr", "flag_fe_h", "flag_alpha_fe", "flag_Mg_fe"}
    known.add("paper")

    def unread(table):
        for key, value in table.items():
            inner = {} if key in whole or not hasattr(value, "items") else value
            yield from unread(inner)
            if key not in known and f'"{key}"' not in sources:
                yield key

    assert list(unread(parameters())) == []


def test_the_parameters_cannot_be_changed():
    with pytest.raises(TypeError):
        parameters()["galaxy"]["cluster_share"] = 0.5
    assert isinstance(parameters()["clusters"]["names"], tuple)
