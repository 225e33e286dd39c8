"""Stars in common: by identifier, by position, and the training table of them."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table

from fastcannon import InputError
from fastcannon.cuts import Cut
from fastcannon.labels import LABELS
from fastcannon.match import Catalogue, count_lines, match, training_table


def catalogue(ids, snr=None, **columns):
    """Return a catalogue of these identifiers, at places that follow from them."""
    n = len(ids)
    table = Table()
    table["id"] = [f"spectrum{k}" for k in range(n)]
    table["star_id"] = np.array(ids, dtype=str)
    table["gaia_source_id"] = np.arange(1, n + 1)
    table["ra"], table["dec"] = 10.0 + np.arange(n), np.linspace(-60.0, 60.0, n)
    table["snr"] = np.full(n, 100.0) if snr is None else np.array(snr, dtype=float)
    for name, values in columns.items():
        table[name] = values
    return table


def pairs(found):
    return list(
        zip(
            found.pairs["index_a"].tolist(),
            found.pairs["index_b"].tolist(),
            strict=True,
        )
    )


# ---- by identifier


def test_ids_that_both_have():
    found = match(catalogue(["2M1", "2M2", "2M3"]), catalogue(["2M3", "2M9", "2M1"]))
    assert pairs(found) == [(0, 2), (2, 0)]
    assert dict(found.counts)["matched"] == 2


def test_of_several_entries_the_highest_snr_is_taken():
    a = catalogue(["x", "y", "x", "x", "z"], snr=[50, 9, np.nan, 70, 9])
    b = catalogue(["x", "x", "y", "y"], snr=[10, 20, np.nan, np.nan])
    found = match(a, b)
    assert pairs(found) == [(1, 2), (3, 1)]  # of equals the first
    assert found.counts == [
        ("a: entries", 5),
        ("a: without identifier", 0),
        ("a: other entries of a star", 2),
        ("a: stars", 3),
        ("b: entries", 4),
        ("b: without identifier", 0),
        ("b: other entries of a star", 2),
        ("b: stars", 2),
        ("matched", 2),
    ]


@pytest.mark.parametrize("kind", ["bytes", "object", "masked"])
def test_blanks_do_not_count_and_empty_ids_never_match(kind):
    a, b = catalogue(["", " 2M1 ", "  ", "2M2"]), catalogue(["2M2  ", "", "2M1"])
    if kind == "bytes":
        a.replace_column("star_id", np.array([b"", b" 2M1 ", b"  ", b"2M2"]))
    elif kind == "object":
        a.replace_column("star_id", np.array(["", " 2M1 ", None, "2M2"], dtype=object))
        a["star_id"][2] = ""
    else:
        texts = ["2M9", " 2M1 ", "2M9", "2M2"]
        a.replace_column("star_id", MaskedColumn(texts, mask=[1, 0, 1, 0]))
    found = match(a, b)
    assert pairs(found) == [(1, 2), (3, 0)]
    counts = dict(found.counts)
    assert (counts["a: without identifier"], counts["b: without identifier"]) == (2, 1)


def test_a_match_is_one_to_one_and_its_reverse_the_same():
    rng = np.random.default_rng(2)
    a = catalogue(rng.integers(0, 400, 500).astype(str), snr=rng.uniform(1, 99, 500))
    b = catalogue(rng.integers(0, 400, 700).astype(str), snr=rng.uniform(1, 99, 700))
    found, back = match(a, b), match(b, a)
    assert len(set(found.pairs["index_a"])) == len(found.pairs) > 200
    assert len(set(found.pairs["index_b"])) == len(found.pairs)
    assert set(pairs(found)) == {(j, i) for i, j in pairs(back)}
    assert (np.diff(found.pairs["index_a"]) > 0).all()
    np.testing.assert_array_equal(
        a["star_id"][found.pairs["index_a"]], b["star_id"][found.pairs["index_b"]]
    )
    assert len(found.pairs) == len(set(a["star_id"]) & set(b["star_id"]))
    for table, name in ((a, "index_a"), (b, "index_b")):
        for row in found.pairs[name]:
            same = table["star_id"] == table["star_id"][row]
            assert table["snr"][row] == table["snr"][same].max()


def test_nothing_in_common_shows_both_ids_and_the_prefix():
    with pytest.raises(InputError) as caught:
        match(catalogue(["2M00011+22"]), catalogue(["00011+22"]), names=("apogee", "g"))
    said = str(caught.value)
    assert "apogee has 1 stars ('2M00011+22'); g has 1 stars ('00011+22')" in said
    assert "prefix 2M" in said


def test_only_empty_ids_and_no_rows():
    with pytest.raises(InputError, match=r"b has 0 stars \(no identifiers\)"):
        match(catalogue(["x"]), catalogue(["", " "]))
    with pytest.raises(InputError, match=r"a has 0 stars"):
        match(catalogue([]), catalogue(["x"]))


def test_gaia_ids_of_one_release():
    big = 6_000_000_000_000_000_001  # next to its neighbour only as a whole number
    a = catalogue("pqrs", gaia_source_id=np.array([big, 0, -1, big + 2]))
    b = catalogue("tuv", gaia_source_id=np.array([big + 2, 0, big + 1]))
    a.meta["gaia_release"], b.meta["gaia_release"] = "EDR3", "Gaia DR3"
    found = match(a, b, by="gaia")
    assert pairs(found) == [(3, 0)]
    assert dict(found.counts)["a: without identifier"] == 2


@pytest.mark.parametrize("releases", [("DR2", "EDR3"), ("DR2", None), (None, None)])
def test_gaia_ids_of_releases_that_differ_or_are_not_known(releases):
    a, b = catalogue("ab"), catalogue("ab")
    for table, release in zip((a, b), releases, strict=True):
        if release:
            table.meta["gaia_release"] = release
    with pytest.raises(InputError, match=r"DR2 and EDR3|EDR3 than in DR2"):
        match(a, b, by="gaia")


def test_gaia_ids_that_went_through_floats():
    a, b = catalogue("ab"), catalogue("ab", gaia_source_id=[1.0, 2.0])
    a.meta["gaia_release"] = b.meta["gaia_release"] = "DR2"
    with pytest.raises(InputError, match=r"b: gaia_source_id has type float64"):
        match(a, b, by="gaia")
    with pytest.raises(InputError, match=r"^no gaia is in both.*source identifiers$"):
        b["gaia_source_id"] = [8, 9]
        match(a, b, by="gaia")


def test_columns_and_arguments_that_cannot_be_used():
    a, b = catalogue("ab"), catalogue("ab")
    for name in ("star_id", "snr"):
        b = catalogue("ab")
        b.remove_column(name)
        with pytest.raises(InputError, match=rf"galah: there is no column '{name}'"):
            match(a, b, names=("apogee", "galah"))
    b = catalogue("ab")
    b.replace_column("star_id", [1, 2])
    with pytest.raises(InputError, match=r"b: star_id has type int64; expected text"):
        match(a, b)
    with pytest.raises(InputError, match=r"by is 'gaja' \(did you mean 'gaia'\?\)"):
        match(a, a, by="gaja")
    with pytest.raises(InputError, match=r"both catalogues are called 'a'"):
        match(a, a, names=("a", "a"))


# ---- by position

ARCSEC = 1 / 3600


def sky(ra, dec, **columns):
    """Return a catalogue of stars at these places, each with its own identifier."""
    ids = [f"s{k}" for k in range(len(ra))]
    return catalogue(ids, **({"ra": ra, "dec": dec} | columns))


def test_the_mutually_nearest_within_the_radius():
    a = sky([10.0, 10.0 + 0.7 * ARCSEC, 50.0], [0.0, 0.0, 20.0])
    b = sky([10.0 + 0.9 * ARCSEC, 50.0], [0.0, 20.0 + 1.5 * ARCSEC])
    found = match(a, b, by="position")
    assert pairs(found) == [(1, 0)]  # the other is 0.9 arcsec away, and loses
    assert found.pairs["separation"].unit == u.arcsec
    assert found.pairs["separation"][0] == pytest.approx(0.2, abs=1e-6)
    assert dict(found.counts)["a: within 1 arcsec of the other"] == 2
    assert pairs(match(a, b, by="position", radius=2.0)) == [(1, 0), (2, 1)]


def test_right_ascension_wraps_and_shrinks_at_the_pole():
    a = sky([0.0001 * ARCSEC, 100.0], [0.0, 89.999])
    b = sky([360.0 - 0.5 * ARCSEC, 100.0 + 3 * ARCSEC], [0.0, 89.999])
    assert pairs(match(a, b, by="position")) == [(0, 0), (1, 1)]


def test_proper_motion_brings_stars_to_one_epoch():
    pmra, pmdec, dec = 400.0, -900.0, 60.0
    years = 15.5
    later = (
        30.0 + pmra * years / 3.6e6 / np.cos(np.radians(dec)),
        dec + pmdec * years / 3.6e6,
    )
    motion = {"pmra": [pmra], "pmdec": [pmdec]}
    a = sky([30.0], [dec], epoch=[2000.0], **motion)
    b = sky([later[0]], [later[1]], epoch=[2015.5], **motion)
    # Measured 8e-4 arcsec: the linear motion above leaves the great circle. An epoch
    # wrong by a month would give 0.08.
    assert match(a, b, by="position").pairs["separation"][0] < 2e-3
    with pytest.raises(InputError, match=r"the nearest are 15\.\d arcsec apart"):
        match(a["id", "star_id", "snr", "ra", "dec"], b, by="position")


def test_stars_without_motion_or_epoch_stay_and_are_counted():
    nan = np.nan
    motion = {"pmra": [nan, 5000.0, 0.0], "pmdec": [3.0, 0.0, 0.0]}
    a = sky([1.0, 2.0, 3.0], [0.0, 0, 0], epoch=[2000.0, nan, 2000.0], **motion)
    b = sky([1.0, 2.0, 3.0], [0.0, 0, 0])
    found = match(a, b, by="position")
    assert pairs(found) == [(0, 0), (1, 1), (2, 2)]
    counts = dict(found.counts)
    assert counts["a: not moved, no proper motion or epoch"] == 2
    assert counts["b: not moved, no proper motion or epoch"] == 3


def test_nan_positions_are_dropped_and_counted():
    a = sky([1.0, np.nan, 3.0], [0.0, 0.0, np.nan])
    b = sky([3.0, 1.0], [0.0, 0.0])
    b["dec"] = MaskedColumn([0.0, 0.0], mask=[True, False])
    found = match(a, b, by="position")
    assert pairs(found) == [(0, 1)]
    counts = dict(found.counts)
    assert (counts["a: without position"], counts["b: without position"]) == (2, 1)


def test_entries_of_one_star_and_of_one_place_count_once():
    a = sky([1.0, 1.0 + 0.1 * ARCSEC, 2.0, 2.0], [0.0] * 4, snr=[9, 50, 70, 9])
    a["star_id"] = ["x", "x", "", "y"]
    found = match(a, sky([1.0, 2.0], [0.0, 0.0]), by="position")
    assert pairs(found) == [(1, 0), (2, 1)]
    assert dict(found.counts)["a: other entries of a star"] == 2
    a.remove_column("star_id")
    # Without names the better entry of a place is its star, too.
    found = match(a, sky([1.0, 2.0], [0.0, 0.0]), by="position")
    assert pairs(found) == [(1, 0), (2, 1)]


@pytest.mark.parametrize("radius", [-1.0, 0, np.nan, np.inf, "1", None])
def test_radii_that_are_none(radius):
    a = sky([1.0], [0.0])
    with pytest.raises(InputError, match=r"radius is .*; a positive number of arcsec"):
        match(a, a, by="position", radius=radius)


def test_positions_that_cannot_be_used():
    a = sky([1.0, 2.0], [0.0, 0.0])
    with pytest.raises(InputError, match=r"b: not one of 2 entries has a finite posit"):
        match(a, sky([np.nan, 1.0], [0.0, np.nan]), by="position")
    with pytest.raises(InputError, match=r"b: dec is 270.0 in row 1; expected degrees"):
        match(a, sky([1.0, 1.0], [0.0, 270.0]), by="position")
    b = a.copy()
    b.remove_column("ra")
    with pytest.raises(InputError, match=r"b: there is no column 'ra'"):
        match(a, b, by="position")
    with pytest.raises(
        InputError, match=r"no star of a is within 1 arcsec.*\(ra dec\)"
    ):
        match(a, sky([200.0], [5.0]), by="position")


def test_a_large_match_is_found_whole():
    rng = np.random.default_rng(4)
    n = 20_000
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    order = rng.permutation(n)
    a = sky(ra, dec)
    b = a[order]
    b["dec"] = b["dec"] - np.sign(b["dec"]) * 0.3 * ARCSEC
    for by in ("star_id", "position"):
        found = match(a, b, by=by)
        # Pairs of random stars within 1 arcsec: 1e-3 expected.
        assert len(found.pairs) == n
        right = order[found.pairs["index_b"]] == found.pairs["index_a"]
        assert right.all()


# ---- the training table


def labelled(ids, seed, **columns):
    rng = np.random.default_rng(seed)
    table = catalogue(ids, **columns)
    for label in (*LABELS, "mg_fe", "rv"):
        table[label] = rng.normal(size=len(ids))
        table[f"e_{label}"] = np.full(len(ids), 0.1)
    table["teff"].unit = u.K
    table.meta["gaia_release"] = "DR2"
    return table


@pytest.fixture
def surveys():
    a = labelled(["v", "w", "x", "y", "z"], 1, snr=[90, 90, 10, 90, 90])
    b = labelled(["z", "y", "x", "w", "v", "u"], 2, flag_sp=[0, 4, 0, 0, 0, 0])
    a["logg"][0] = np.nan
    b["snr"] = 60.0
    apogee = Catalogue("apogee", a, {"snr": "> 80"}, {})
    return apogee, Catalogue("galah", b, [{"flag_sp": "== 0"}], {})


def test_training_stars_pass_the_cuts_of_both(surveys):
    found = training_table(*surveys)
    assert found.table["star_id"].tolist() == ["w", "z"]
    assert found.counts[-1] == ("matched", 5)
    valid = f"valid: {', '.join(LABELS)}"
    assert found.cuts == {
        "apogee": [Cut("labels", valid, 1, 4), Cut("snr", "> 80", 1, 3)],
        "galah": [Cut("labels", valid, 0, 3), Cut("flag_sp", "== 0", 1, 2)],
    }


@pytest.mark.parametrize("first", [0, 1])
def test_columns_that_the_match_does_not_need_may_be_absent(surveys, first):
    for survey in surveys:  # places that follow from the identifier
        number = [ord(name) for name in survey.table["star_id"]]
        survey.table["ra"] = survey.table["dec"] = np.array(number) / 2.0
    poor, rich = surveys[first], surveys[1 - first]
    poor.table.remove_columns(["star_id", "gaia_source_id"])
    found = training_table(poor, rich, by="position", radius=1.0).table
    other = training_table(rich, poor, by="position", radius=1.0).table
    assert set(found["star_id"]) == set(other["star_id"])
    assert set(found["gaia_source_id"]) == set(other["gaia_source_id"]) != {0}
    rich.table.remove_columns(["star_id", "gaia_source_id"])
    bare = training_table(poor, rich, by="position", radius=1.0).table
    assert set(bare["star_id"]) == {""} and set(bare["gaia_source_id"]) == {0}
    assert len(bare) == len(found) > 0


def test_columns_of_the_training_table(surveys):
    apogee, galah = surveys
    table = training_table(apogee, galah).table
    assert table.colnames[:4] == ["star_id", "ra", "dec", "gaia_source_id"]
    for name in ("apogee", "galah"):
        for label in (*LABELS, "mg_fe", "rv"):
            assert {f"{label}_{name}", f"e_{label}_{name}"} <= set(table.colnames)
        assert {f"id_{name}", f"snr_{name}"} <= set(table.colnames)
    assert len(table.colnames) == 4 + 2 * (2 + 16)
    assert table["teff_apogee"][1] == apogee.table["teff"][4]
    assert table["teff_galah"][1] == galah.table["teff"][0]
    assert table["id_galah"].tolist() == ["spectrum3", "spectrum0"]
    assert table["gaia_source_id"].dtype == np.int64
    assert table["gaia_source_id"].tolist() == [2, 5]
    assert table["ra"].unit == u.deg and table["teff_galah"].unit == u.K
    assert table["snr_galah"].tolist() == [60, 60]
    assert table.meta["gaia_release"] == "DR2"


def test_missing_errors_are_nan_and_other_labels_can_be_asked_for(surveys):
    apogee, galah = surveys
    galah.table.remove_columns(["e_vmicro", "mg_fe"])
    table = training_table(apogee, galah, labels=("teff", "vmicro")).table
    assert table["star_id"].tolist() == ["v", "w", "z"]
    assert np.isnan(table["e_vmicro_galah"]).all()
    assert np.isnan(table["mg_fe_galah"]).all() and "logg_galah" not in table.colnames


def test_gaia_ids_of_either_survey_are_looked_at_before_the_work(surveys):
    apogee, galah = surveys
    galah.table["gaia_source_id"] = np.arange(6) + 1.0
    with pytest.raises(InputError, match=r"^galah: gaia_source_id has type float64"):
        training_table(apogee, galah)


def test_catalogues_are_not_changed(surveys):
    before = [survey.table.copy() for survey in surveys]
    training_table(*surveys)
    for survey, table in zip(surveys, before, strict=True):
        assert survey.table.colnames == table.colnames
        for name in table.colnames:
            np.testing.assert_array_equal(survey.table[name], table[name])


def test_lines_show_every_step(surveys):
    lines = training_table(*surveys).lines()
    text = "\n".join(lines)
    assert "5  apogee: entries" in text and "5  matched" in text
    assert text.index("cuts of apogee") < text.index("cuts of galah")
    assert lines[-1] == "2  training stars"
    assert count_lines([("x", 1234), ("y", 5)]) == ["1,234  x", "    5  y"]


def test_no_star_left_says_what_removed_them(surveys):
    apogee, galah = surveys
    with pytest.raises(InputError, match=r"none of 5 .* apogee: snr > 1000 removed 4"):
        training_table(apogee._replace(cuts={"snr": "> 1000"}), galah)


def test_cuts_that_cannot_be_made_name_their_key(surveys):
    apogee, galah = surveys
    bad = galah._replace(cuts={"chi2": "< 4"}, where="x.toml: surveys.galah.cuts")
    with pytest.raises(
        InputError, match=r"x.toml: surveys.galah.cuts.chi2: there is no"
    ):
        training_table(apogee, bad)
    apogee.table.remove_column("vbroad")
    with pytest.raises(InputError, match=r"labels.vbroad: there is no column 'vbroad'"):
        training_table(apogee, galah)


def test_unnamed_entries_of_one_place_are_one_star():
    arcsec = 1 / 3600
    a = Table(
        {
            "ra": [10.0, 10.0 + 0.2 * arcsec, 20.0, 20.0 + 0.2 * arcsec],
            "dec": [0.0, 0.0, 0.0, 0.0],
            "snr": [10.0, 100.0, 50.0, 60.0],
            "star_id": ["", "", "x", "y"],
        }
    )
    b = Table({"ra": [10.0, 20.0], "dec": [0.0, 0.0], "snr": [1.0, 1.0]})
    found = match(a, b, by="position")
    # The better of the unnamed two, though farther; named neighbours stay themselves.
    assert found.pairs["index_a"].tolist() == [1, 2]
    assert ("a: unnamed entries at a better one", 1) in found.counts


def test_names_that_are_none_match_nothing():
    names = np.array(["s1", None, np.nan], dtype=object)
    a = Table({"star_id": names, "snr": [1.0, 2.0, 3.0]})
    found = match(a, a.copy())
    assert found.pairs["index_a"].tolist() == [0]


def test_unknown_gaia_releases_are_not_the_same():
    a = Table({"gaia_source_id": [5], "snr": [1.0]}, meta={"gaia_release": "unknown"})
    with pytest.raises(InputError, match="not known to be of one"):
        match(a, a.copy(), by="gaia")


def test_columns_without_any_value_are_said():
    labels = {"star_id": ["s1", "s2"], "id": ["1", "2"], "snr": [9.0, 9.0]}
    labels |= {"ra": [1.0, 2.0], "dec": [0.0, 0.0], "gaia_source_id": [0, 0]}
    good = Table(labels | {"teff": [5000.0, 5100.0], "flag": [0, 0]})
    bare = Table(labels | {"teff": [np.nan, np.nan], "flag": [-1, -1]})
    a = Catalogue("a", good, {}, {})
    with pytest.raises(
        InputError, match=r"b: .* no value of teff: leave it out of lab"
    ):
        training_table(a, Catalogue("b", bare, {}, {}), ["teff"])
    bare["teff"] = [5000.0, 5000.0]
    cuts = {"flag": "== 0"}
    with pytest.raises(
        InputError, match=r"b: .* no value of flag: leave it out of cuts"
    ):
        training_table(a, Catalogue("b", bare, cuts, {}), ["teff"])


def test_a_column_with_every_value_masked_has_none(surveys):
    apogee, galah = surveys
    galah.table["teff"] = MaskedColumn(galah.table["teff"], mask=True)
    with pytest.raises(InputError, match=r"galah: .* no value of teff"):
        training_table(apogee, galah)


@pytest.mark.parametrize("kind", [object, str])
def test_labels_that_are_no_numbers_are_refused(surveys, kind):
    apogee, galah = surveys
    galah.table["teff"] = galah.table["teff"].astype(kind)
    with pytest.raises(InputError, match=r"labels\.teff: .* one number per row"):
        training_table(apogee, galah)
