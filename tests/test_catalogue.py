"""Rows of a catalogue: types, flags, distances, errors and the clean selection."""

import numpy as np
import pytest
from astropy.io.votable.ucd import check_ucd
from astropy.table import MaskedColumn, Table

from fastcannon import InputError
from fastcannon.catalogue import (
    COLUMNS,
    FLAGS,
    ID_LENGTH,
    Scale,
    catalogue_rows,
    clean,
    columns,
)
from fastcannon.labels import LABELS
from fastcannon.result import STAR_STATUS, InferenceResult
from fastcannon.surveys.bitmasks import ASPCAPFLAG, STARFLAG

N = 8  # spectra of the part
RMS = np.array([50.0, 0.1, 0.05, 0.02])
CENTRES = np.array([5000.0, 3.0, -0.1, 0.05, 1.2, 8.0])
TABLE_A1 = """
survey_id dr2_source_id dr3_source_id ra dec
teffCann e_teffCann loggCann e_loggCann fehCann e_fehCann alphafeCann e_alphafeCann
vmicroCann e_vmicroCann vbroadCann e_vbroadCann r_chi_sq snrCann Cannon_distance
flag_id flag_Cannon_dist flag_spectra flag_sp_aspcap flag_survey flag_training
flag_snr flag_fastcannon
teff e_teff logg e_logg feh e_feh alphafe e_alphafe vmicro e_vmicro vbroad e_vbroad
snr r_est r_lo r_hi parallax e_parallax
""".split()


@pytest.fixture
def found():
    """The label table of a part: labels near the centre of the training set."""
    rng = np.random.default_rng(4)
    result = InferenceResult.empty(LABELS, N)
    result.labels[:] = CENTRES + 0.1 * rng.normal(size=(N, 6)) * [*RMS, 0.1, 1.0]
    result.covariance[:] = np.diag([4.0, 1e-4, 1e-4, 1e-4, 1e-2, 1.0])
    result.r_chi2[:], result.snr[:], result.minima[:] = 1.0, 90.0, 1
    return result


@pytest.fixture
def stars():
    """Four stars of the part, in another order than its label table."""
    table = Table({"row": [5, 0, 2, 7], "catalogued": [True, True, False, True]})
    table["survey_id"] = ["a", "b", "c", "apo25m.120-08-RV.2M00000032+5737103"]
    for k, name in enumerate(("dr2_source_id", "dr3_source_id")):
        table[name] = 2**60 + 10 * k + np.arange(4)
    for k, column in enumerate(COLUMNS):
        if column.name.startswith("flag_") and column.name not in (
            *("flag_fastcannon", "flag_Cannon_dist"),
        ):
            table[column.name] = np.zeros(4, int)
        elif column.dtype.startswith("f") and "Cann" not in column.name:
            table[column.name] = k + np.arange(4) / 3
    del table["r_chi_sq"]
    table["snr_spectrum"] = [20.0, 50.0, 110.0, 75.0]
    return table


@pytest.fixture
def scale():
    rng = np.random.default_rng(5)
    return Scale(
        label_names=LABELS,
        training=CENTRES[:4] + RMS * rng.normal(size=(40, 4)),
        rms=RMS,
        factors=np.array([3.0, 2.0, 1.0, 1.0, 1.0, 0.5]),
        decays=[lambda snr: 5 + 0 * snr, *[lambda snr: 0.05 + 0 * snr], *[None] * 4],
        r_chi2_limit=5.0,
    )


def rows_of(stars, found, scale):
    return catalogue_rows(stars, found.to_table(), scale)


def test_the_columns_are_those_of_table_a1():
    assert [column.name for column in COLUMNS] == TABLE_A1
    for column in COLUMNS:
        check_ucd(column.ucd, check_controlled_vocabulary=True, has_colon=False)
        assert column.description.isascii() and column.description
    kinds = {column.name: column.dtype for column in COLUMNS}
    assert kinds["dr3_source_id"] == kinds["flag_sp_aspcap"] == "i8"
    assert [n for n, kind in kinds.items() if kind == "f8"] == ["ra", "dec", "parallax"]
    assert {"K", "dex", "km/s", "deg", "pc", "mas"} < {c.unit for c in COLUMNS}


def test_other_labels_get_columns_by_the_same_rule():
    made = {column.name: column for column in columns(("teff", "mg_fe", "x_y"))}
    for name in ("mgfeCann", "e_mgfeCann", "mgfe", "e_mgfe", "xyCann", "e_xy"):
        check_ucd(made[name].ucd, check_controlled_vocabulary=True)
    assert made["mgfe"].unit == "dex" and made["xy"].unit == ""
    assert "loggCann" not in made
    for names in (("fe_h", "feh"), ("teff", "snr")):
        with pytest.raises(InputError, match=r"two columns.*rename a label"):
            columns(names)


def test_rows_are_joined_and_have_exact_types(stars, found, scale):
    before, labels_table = stars.copy(), found.to_table()
    table = catalogue_rows(stars, labels_table, scale)
    assert table.colnames == [column.name for column in COLUMNS]
    for column in COLUMNS:
        own = table[column.name]
        assert own.dtype == np.dtype(column.dtype), column.name
        assert (own.unit or "") == column.unit and own.meta == {"ucd": column.ucd}
        assert own.description == column.description
    for k, name in enumerate(("teff", "logg", "feh", "alphafe", "vmicro", "vbroad")):
        expected = found.labels[[5, 0, 2, 7], k].astype("f4")
        np.testing.assert_array_equal(table[f"{name}Cann"], expected)
        np.testing.assert_array_equal(table[name], stars[name].astype("f4"))
    np.testing.assert_array_equal(table["dr3_source_id"], stars["dr3_source_id"])
    np.testing.assert_array_equal(table["parallax"], stars["parallax"])
    assert table["survey_id"].tolist() == stars["survey_id"].tolist()
    assert (stars == before).all() and stars.colnames == before.colnames
    assert (labels_table["teff"] == found.labels[:, 0]).all()


def test_errors_are_the_larger_of_rescaled_and_precision(stars, found, scale):
    table = rows_of(stars, found, scale)
    # Formal errors 2, 0.01, ... times their factors against 5 and 0.05.
    expected = {"teff": 6.0, "logg": 0.05, "feh": 0.01, "vmicro": 0.1, "vbroad": 0.5}
    for name, value in expected.items():
        np.testing.assert_allclose(table[f"e_{name}Cann"], value, rtol=1e-6)
    assert not (table["flag_fastcannon"] & FLAGS["FORMAL_ERRORS"]).any()


def test_the_precision_is_that_of_the_spectrum_s_snr(stars, found, scale):
    steep = scale._replace(decays=[lambda snr: 1e4 / snr, *[None] * 5])
    table = rows_of(stars, found, steep)
    np.testing.assert_allclose(
        table["e_teffCann"], 1e4 / stars["snr_spectrum"], rtol=1e-6
    )


@pytest.mark.parametrize("known", [0, 5])
def test_errors_without_repeats_are_told(stars, found, scale, known):
    factors = np.where(np.arange(6) < known, 1.0, np.nan)
    table = rows_of(stars, found, scale._replace(factors=factors))
    assert (table["flag_fastcannon"] == [128, 128, 128 + 64, 128]).all()
    assert np.isfinite(table["e_vbroadCann"]).all()


def test_the_distance_is_that_of_the_definition(stars, found, scale):
    found.labels[2, 2] += 40 * RMS[2]  # far outside
    table = rows_of(stars, found, scale)
    for i, row in enumerate(stars["row"]):
        steps = (found.labels[row, :4] - scale.training) / RMS
        expected = np.sort((steps**2).sum(axis=1))[:10].mean()
        # float32 rounds to 6e-8.
        np.testing.assert_allclose(table["Cannon_distance"][i], expected, rtol=1e-6)
        assert table["flag_Cannon_dist"][i] == (expected > 8)
    assert table["flag_Cannon_dist"].tolist() == [0, 0, 1, 0]


def test_fewer_labels_have_a_nearer_limit(stars, found, scale):
    """One label of distance: the limit is 2, and the columns are the model's."""
    names = ("fe_h", "vmicro")
    result = InferenceResult.empty(names, N)
    result.labels[:] = found.labels[:, [2, 4]]
    result.labels[2, 0] = result.labels[7, 0] = 0.0
    one = Scale(names, np.zeros((10, 1)), [0.05], [1, 1], [None, None], 5.0)
    result.labels[[0, 5], 0] = [0.05 * 1.40, 0.05 * 1.43]  # squares 1.96 and 2.04
    table = rows_of(stars, result, one)
    assert table["flag_Cannon_dist"].tolist() == [1, 0, 0, 0]
    assert table.colnames == [column.name for column in columns(names)]


def test_each_bit_of_our_flag(stars, found, scale):
    assert {name: FLAGS[name] for name in STAR_STATUS} == STAR_STATUS
    assert len(set(FLAGS.values())) == 8 and sum(FLAGS.values()) == 255
    found.status[5] = FLAGS["NOT_CONVERGED"] | FLAGS["OUTSIDE_HULL"]
    found.minima[0], found.minima[7] = 2, 1
    found.r_chi2[2], found.r_chi2[7] = 5.1, 5.0
    table = rows_of(stars, found, scale)
    assert table["flag_fastcannon"].tolist() == [2 + 4, 16, 32 + 64, 0]
    assert "64 NOT_CATALOGUED" in table["flag_fastcannon"].description


def test_spectra_without_labels_have_no_distance(stars, found, scale):
    found.labels[5] = np.nan
    found.status[5] = FLAGS["NO_DATA"]
    found.r_chi2[5] = np.nan
    found.status[0] = FLAGS["NOT_CONVERGED"]
    table = rows_of(stars, found, scale)
    assert np.isnan(table["Cannon_distance"]).tolist() == [True, True, False, False]
    assert table["flag_Cannon_dist"].tolist() == [1, 1, 0, 0]
    assert np.isnan(table["teffCann"]).tolist() == [True, False, False, False]
    assert table["flag_fastcannon"].tolist() == [1, 2, 64, 0]


def test_a_part_without_stars_has_all_columns(stars, found, scale):
    table = rows_of(stars[:0], found, scale)
    assert len(table) == 0 and table.colnames == TABLE_A1
    assert table["survey_id"].dtype == np.dtype(f"U{ID_LENGTH}")


def test_missing_numbers_become_nan_and_huge_ones_infinite(stars, found, scale):
    stars["e_vmicro"] = MaskedColumn(np.ones(4), mask=[1, 0, 0, 0])
    found.r_chi2[0] = 1e39
    table = rows_of(stars, found, scale)
    assert np.isnan(table["e_vmicro"]).tolist() == [True, False, False, False]
    assert table["r_chi_sq"][1] == np.inf


@pytest.mark.parametrize(
    "name, values, words",
    [
        ("row", [0, 1, 2, N], r"rows 0 to 8 .* it has rows 0 to 7"),
        ("row", [0, 1, 2, -1], r"rows -1 to 2 "),
        ("row", [0.0, 1, 2, 3], "row has type float64; whole numbers expected"),
        ("dr3_source_id", [1.0, 2.0, np.nan, 3.0], "dr3_source_id has type float64"),
        ("dr3_source_id", MaskedColumn([1, 2, 3, 4], mask=[1, 0, 0, 0]), "masked rows"),
        ("flag_survey", [0, 0, 0, 2**15], "do not fit int16"),
        ("survey_id", ["a", "b", "c", "x" * (ID_LENGTH + 1)], "at most 64 characters"),
        ("survey_id", ["a", "b", "c", "\xe9"], "do not fit"),
        ("survey_id", [1, 2, 3, 4], "survey_id has type int64"),
        ("teff", ["a", "b", "c", "d"], "teff has type"),
        ("ra", np.ones((4, 2)), r"ra has type float64 and shape \(4, 2\)"),
    ],
)
def test_columns_that_do_not_fit(stars, found, scale, name, values, words):
    stars[name] = values
    with pytest.raises(InputError, match=words):
        rows_of(stars, found, scale)


@pytest.mark.parametrize(
    "name", ["row", "catalogued", "snr", "snr_spectrum", "survey_id", "r_lo"]
)
def test_a_missing_column_is_named(stars, found, scale, name):
    stars.remove_column(name)
    with pytest.raises(InputError, match=f"no column '{name}'"):
        rows_of(stars, found, scale)


def test_a_label_table_of_another_model(stars, found, scale):
    other = found.to_table()
    other.remove_column("e_logg")
    with pytest.raises(InputError, match=r"the label table: .* 'e_logg'"):
        catalogue_rows(stars, other, scale)


def test_a_model_without_any_label_of_the_distance(stars, found, scale):
    only = scale._replace(
        label_names=("vmicro",), factors=np.ones(1), decays=[None], rms=RMS[:1]
    )
    with pytest.raises(InputError, match="needs at least one of teff, logg"):
        rows_of(stars, found, only)


def flags(**given):
    """Flags of one clean GALAH and one clean APOGEE spectrum, but for those given."""
    names = (column.name for column in COLUMNS if column.name.startswith("flag_"))
    return {name: np.zeros(2, int) for name in names} | {
        "flag_id": np.array([0, 1]),
        **{name: np.array(value) for name, value in given.items()},
    }


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, [True, True]),
        ({"flag_training": [1, 1]}, [True, True]),
        ({"flag_Cannon_dist": [1, 0]}, [False, True]),
        ({"flag_survey": [0, 1]}, [True, False]),
        ({"flag_snr": [1, 1]}, [False, False]),
        ({"flag_fastcannon": [FLAGS["NO_DATA"], FLAGS["SINGULAR"]]}, [False, False]),
        ({"flag_fastcannon": [FLAGS["NOT_CONVERGED"], 32]}, [False, False]),
        ({"flag_fastcannon": [4 + 16, 64 + 128]}, [True, True]),
        ({"flag_sp_aspcap": [1, 1 << ASPCAPFLAG.bits["TEFF_BAD"]]}, [False, False]),
        ({"flag_sp_aspcap": [0, 1 << ASPCAPFLAG.bits["TEFF_WARN"]]}, [True, True]),
        ({"flag_sp_aspcap": [-1, -1]}, [False, False]),  # unknown
        ({"flag_spectra": [1, 1 << STARFLAG.bits["PERSIST_LOW"]]}, [False, False]),
        ({"flag_spectra": [1, 1 << STARFLAG.bits["COMMISSIONING"]]}, [False, True]),
    ],
)
def test_clean(given, expected):
    assert clean(flags(**given)).tolist() == expected
    assert clean(Table(flags(**given))).tolist() == expected


def test_clean_with_bits_of_one_s_own():
    given = flags(flag_sp_aspcap=[6, 6], flag_spectra=[8, 8])
    assert clean(given, {0: 1, 1: 1}, {0: 1, 1: 16}).tolist() == [True, True]
    assert clean(given, {0: 4, 1: 1}, {0: 1, 1: 8}).tolist() == [False, False]
    assert clean(given, {0: 1}, {0: 1}).tolist() == [True, False]  # all of APOGEE's
