"""Which spectra get a row in the catalogues, and the survey and Gaia values of it."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from small_run import load, write

from fastcannon import joining
from fastcannon.errors import InputError
from fastcannon.fitsfiles import hdu_to_table
from fastcannon.joining import OTHER, VISIT, WITHOUT
from fastcannon.runfolder import RunFolder
from fastcannon.spectrawriter import write_spectra

TEXT = """
[output]
folder = "run"
[surveys.one]
format = "spectra"
spectra = ["part-?.fits"]
catalogue = "one.ecsv"
[surveys.two]
format = "spectra"
spectra = ["two.fits"]
catalogue = "two.ecsv"
[gaia]
table = "gaia.fits"
[labels]
names = ["teff", "c_fe"]
"""
# id, star, visit, S/N: two files of spectra.
PARTS = (
    [
        ("s1", "A", 0, 50.0),
        ("s1.v1", "A", 1, 99.0),
        ("s2", "A", 0, 90.0),
        ("s3", "B", 0, 40.0),
    ],
    [
        ("s4", "", 0, 30.0),
        ("s5", "C", 0, 10.0),
        ("s6", "C", 0, 99.0),
        ("s7", "D", 0, np.nan),
        ("s8.v1", "E", 1, 20.0),
    ],
)
ENTRIES = ["s7", "s1", "s2", "s3", "s5", "s9"]
BIG = 3_397_695_904_483_262_528  # does not survive as a float if one is added
TRAINING = Table({"id_one": ["s2", "s5"]})


@pytest.fixture
def folder(tmp_path):
    for number, rows in enumerate(PARTS):
        stars = Table(rows=rows, names=("id", "star_id", "visit", "snr"))
        write_spectra_of(tmp_path / f"part-{number}.fits", stars)
    write_catalogue(tmp_path)
    ids = BIG + np.arange(6) + 100
    table = Table({"source_id": ids + 1000, "dr2_source_id": ids})
    for k, name in enumerate(("parallax", "parallax_error", "r_est", "r_lo", "r_hi")):
        table[name] = 10.0 * k + np.arange(6)
    # Of s3 there is no row; the rows are in no order.
    table[[5, 0, 4, 1, 2]].write(tmp_path / "gaia.fits")
    return tmp_path


def write_spectra_of(path, stars):
    n = len(stars)
    write_spectra(path, *np.ones((2, n, 5)), np.arange(1.0, 6), stars, True)


def write_catalogue(folder, release="DR2", **columns):
    n = len(ENTRIES)
    table = Table({"id": ENTRIES, "star_id": list("DAABCF")})
    table["teff"] = 5000.0 + np.arange(n)
    table["e_teff"] = 50.0 + np.arange(n)
    table["c_fe"] = MaskedColumn(np.arange(n) / 10, mask=np.arange(n) == 4)
    table["snr"] = [np.nan, 50.5, 90.5, 0.0, 10.5, 70.5]
    table["gaia_source_id"] = BIG + np.arange(n) + 100
    table["ra"], table["dec"] = 10.0 + np.arange(n), -20.0
    table["flag_sp_aspcap"] = 2 ** (30 + np.arange(n))
    table.meta["gaia_release"] = release
    for name, values in columns.items():
        table[name] = values
    table.write(folder / "one.ecsv", format="ascii.ecsv", overwrite=True)


def join(folder, training=TRAINING, text=TEXT):
    """Return what joining says and its tables of stars."""
    config = load(write(folder, text))
    gaia = joining.read_gaia(config)
    survey = config.surveys["one"]
    joined = joining.join_survey(config, RunFolder(config), survey, training, gaia)
    return joined, [read(path) for path in joined.paths]


def read(path):
    with fits.open(path) as hdus:
        return hdu_to_table(hdus[1])


# ---- rows


def test_a_star_has_one_row_from_its_best_catalogued_spectrum(folder):
    joined, tables = join(folder)
    assert [list(table["survey_id"]) for table in tables] == [
        ["s2", "s3"],
        ["s4", "s5", "s7"],
    ]
    assert [list(table["row"]) for table in tables] == [[2, 3], [0, 1, 3]]
    left = read(folder / "run" / "left_out" / "one.fits")
    assert list(left.iterrows()) == [("s1", OTHER), ("s6", OTHER), ("s9", WITHOUT)]
    assert joined.counts == {
        "spectra": 9,
        "stars": 5,
        VISIT: 2,
        OTHER: 2,
        "not in the survey's catalogue": 1,
        f"entries of the catalogue: {WITHOUT}": 1,
    }


def test_what_is_known_of_all_spectra_is_kept_for_the_repeats(folder):
    joined, _ = join(folder)
    np.testing.assert_array_equal(joined.starts, [0, 4, 9])
    np.testing.assert_array_equal(joined.visit, [0, 1, 0, 0, 0, 0, 0, 0, 1])
    codes = joined.star
    assert codes[0] == codes[1] == codes[2] and codes[5] == codes[6]
    assert codes[4] == -1 and len(set(codes[codes >= 0])) == 5


def test_stars_are_looked_up_where_the_spectra_do_not_know_them(folder):
    for number, rows in enumerate(PARTS):
        stars = Table(rows=rows, names=("id", "star_id", "visit", "snr"))
        write_spectra_of(folder / f"part-{number}.fits", stars["id", "visit", "snr"])
    joined, tables = join(folder)
    # s6 is in no catalogue: nobody knows that it is of star C.
    assert list(tables[1]["survey_id"]) == ["s4", "s5", "s6", "s7"]
    assert (joined.star == -1).sum() == 4


def test_stars_with_long_ids_stay_apart(folder):
    for number, rows in enumerate(PARTS):
        stars = Table(rows=rows, names=("id", "star_id", "visit", "snr"))
        write_spectra_of(folder / f"part-{number}.fits", stars["id", "visit", "snr"])
    write_catalogue(folder, star_id=["x" * 60 + name for name in "DABCEF"])
    joined, _ = join(folder)
    assert len(set(joined.star[joined.star >= 0])) == 5


def test_a_catalogue_without_star_ids_or_with_missing_ones(folder):
    for number, rows in enumerate(PARTS):
        stars = Table(rows=rows, names=("id", "star_id", "visit", "snr"))
        write_spectra_of(folder / f"part-{number}.fits", stars["id", "visit", "snr"])
    missing = MaskedColumn(["D", "A", "A", "B", "A", ""], mask=[0, 1, 1, 0, 0, 0])
    write_catalogue(folder, star_id=missing)
    joined, tables = join(folder)
    assert list(tables[0]["survey_id"]) == ["s1", "s2", "s3"]
    assert len(set(joined.star[joined.star >= 0])) == 3
    table = Table.read(folder / "one.ecsv")
    del table["star_id"]
    table.write(folder / "one.ecsv", overwrite=True)
    config = load(write(folder, TEXT.replace('"run"', '"other"')))
    one = joining.join_survey(
        config, RunFolder(config), config.surveys["one"], TRAINING, None
    )
    assert (one.star == -1).all() and one.counts["stars"] == 7


# ---- values


def test_values_are_those_of_the_catalogue(folder):
    _, (first, second) = join(folder)
    s2, s3, s5, s7 = first[0], first[1], second[1], second[2]
    assert (s2["teff"], s2["e_teff"], s2["ra"], s2["dec"]) == (5002, 52, 12, -20)
    assert s2["cfe"] == 0.2 and np.isnan(s2["e_cfe"])  # given, and not given
    assert np.isnan(s5["cfe"]) and s5["flag_survey"] == 1  # masked
    assert s2["flag_survey"] == s3["flag_survey"] == s7["flag_survey"] == 0
    assert (s2["snr"], s2["flag_snr"]) == (90.5, 0)
    assert s2["snr_spectrum"] == 90.0
    assert s3["flag_snr"] == s7["flag_snr"] == 1  # 0 and NaN
    assert s2["flag_training"] == s5["flag_training"] == 0
    assert s3["flag_training"] == s7["flag_training"] == 1
    assert s7["flag_sp_aspcap"] == 2**30 and s5["flag_sp_aspcap"] == 2**34
    assert s2["flag_spectra"] == 0 and s2["flag_id"] == joining.OWN_FLAG_ID
    assert all(first["catalogued"]) and list(second["catalogued"]) == [
        False,
        True,
        True,
    ]


def test_spectra_without_an_entry_have_no_values_of_others(folder):
    _, (_, table) = join(folder)
    row = table[0]
    assert row["survey_id"] == "s4" and row["snr"] == row["snr_spectrum"] == 30.0
    for name in table.colnames:
        if name in ("row", "survey_id", "snr", "snr_spectrum", "catalogued", "flag_id"):
            continue
        if name in ("flag_survey", "flag_training", "flag_snr"):
            assert row[name] == 1
        elif table[name].dtype.kind == "f":
            assert np.isnan(row[name]), name
        else:
            assert row[name] == 0, name


def test_surveys_of_ones_own_are_numbered(folder):
    config = load(write(folder, TEXT))
    numbers = [joining._flag_id(config, one) for one in config.surveys.values()]
    assert numbers == [2, 3]


# ---- Gaia


@pytest.mark.parametrize(
    ("release", "own", "other", "shift"),
    [
        ("DR2", "dr2_source_id", "dr3_source_id", 0),
        ("EDR3", "dr3_source_id", "dr2_source_id", 1000),
        ("DR3", "dr3_source_id", "dr2_source_id", 1000),
        ("", "dr3_source_id", "dr2_source_id", 1000),  # said in the documentation
    ],
)
def test_gaia_is_joined_by_the_release_of_the_survey(
    folder, release, own, other, shift
):
    ids = BIG + np.arange(6) + 100 + shift
    write_catalogue(folder, release, gaia_source_id=ids)
    _, (first, second) = join(folder)
    s2, s3, s7 = first[0], first[1], second[2]
    assert (s2[own], s7[own], s3[own]) == (ids[2], ids[0], ids[3])
    assert (s2[other], s7[other]) == (
        ids[2] - 2 * shift + 1000,
        ids[0] - 2 * shift + 1000,
    )
    assert s3[other] == 0  # Gaia's table has no row of s3
    for k, name in enumerate(("parallax", "e_parallax", "r_est", "r_lo", "r_hi")):
        assert (s2[name], s7[name]) == (10 * k + 2, 10 * k)
        assert np.isnan(s3[name])


def test_no_gaia_id_matches_nothing(folder):
    table = Table.read(folder / "gaia.fits")
    table["dr2_source_id"][0] = 0  # in Gaia's table: no DR2 source
    table.write(folder / "gaia.fits", overwrite=True)
    write_catalogue(folder, gaia_source_id=np.zeros(6, int))
    _, (first, second) = join(folder)
    for part in (first, second):
        assert not part["dr2_source_id"].any() and not part["dr3_source_id"].any()
        assert np.isnan(part["parallax"]).all()


def test_masked_values_of_gaia_are_empty(folder):
    table = Table.read(folder / "gaia.fits", mask_invalid=False)
    row = list(table["dr2_source_id"]).index(BIG + 102)
    table = Table(table, masked=True)
    table["r_est"].mask[row] = table["source_id"].mask[row] = True
    path = folder / "gaia.ecsv"
    table.write(path, overwrite=True)
    _, (first, _) = join(folder, text=TEXT.replace("gaia.fits", "gaia.ecsv"))
    assert np.isnan(first[0]["r_est"]) and first[0]["dr3_source_id"] == 0
    assert first[0]["parallax"] == 2


def test_without_a_gaia_table_the_surveys_ids_remain(folder):
    text = TEXT.replace('[gaia]\ntable = "gaia.fits"', "")
    assert joining.read_gaia(load(write(folder, text))) is None
    _, (first, _) = join(folder, text=text)
    assert first[0]["dr2_source_id"] == BIG + 102 and first[0]["dr3_source_id"] == 0
    assert np.isnan(first["parallax"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: table.remove_column("r_lo"),
            "has no column r_lo; it has source",
        ),
        (
            lambda table: table.replace_column(
                "source_id", table["source_id"].astype(float)
            ),
            "source_id has type .?f8; .*whole numbers|source_id has type float64",
        ),
    ],
)
def test_gaia_tables_that_cannot_be_used(folder, change, message):
    table = Table.read(folder / "gaia.fits")
    change(table)
    table.write(folder / "gaia.fits", overwrite=True)
    with pytest.raises(InputError, match=f"gaia.table: .*gaia.fits.*{message}"):
        joining.read_gaia(load(write(folder, TEXT)))


def test_a_gaia_table_that_is_none(folder):
    for content in (b"", b"no table"):
        (folder / "gaia.fits").write_bytes(content)
        with pytest.raises(
            InputError, match=r"gaia.table: .* no table that can be read"
        ):
            joining.read_gaia(load(write(folder, TEXT)))


def test_columns_of_gaia_have_the_names_given(folder):
    table = Table.read(folder / "gaia.fits")
    table.rename_column("source_id", "DR3Name")
    table.write(folder / "gaia.fits", overwrite=True)
    text = TEXT + '[gaia.columns]\ndr3_source_id = "DR3Name"\n'
    found = joining.read_gaia(load(write(folder, text)))
    assert found["dr3_source_id"].dtype.kind == "i" and len(found) == 5


# ---- again


def test_finished_tables_are_kept_and_others_refused(folder):
    joined, _ = join(folder)
    times = [path.stat().st_mtime_ns for path in joined.paths]
    again, _ = join(folder)
    assert [path.stat().st_mtime_ns for path in again.paths] == times
    joined.paths[0].unlink()
    again, _ = join(folder)
    assert again.paths[0].exists() and again.paths[1].stat().st_mtime_ns == times[1]
    with pytest.raises(InputError, match=r"stars/one/part-00000.fits was made from"):
        join(folder, training=Table({"id_one": ["s3"]}))


def test_whole_number_ids_of_the_training_set_are_found(folder):
    """GALAH's and many other surveys' ids are numbers."""
    values = Table({"id": [12, 13], "teff": [1.0, 2.0]})
    values["c_fe"], values["snr"] = 0.0, 9.0
    config = load(write(folder, TEXT))
    survey = SimpleNamespace(name="one", format="spectra")
    found = joining._survey_values(
        SimpleNamespace(surveys=config.surveys, labels=config.labels),
        survey,
        values,
        Table({"id_one": [13]}),
        None,
    )
    assert list(found["survey_id"]) == ["12", "13"]
    assert list(found["flag_training"]) == [1, 0]
