"""Cuts: what each removes, and cuts that cannot be made."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table

from fastcannon import InputError
from fastcannon.cuts import Cut, apply_cuts, check_condition, report_lines, suggest

BITS = {"LOW": 0, "HIGH": 31, "TOP": 40}


class Mask:
    """Named bits, as a survey's module has them."""

    def value(self, names):
        unknown = [name for name in names if name not in BITS]
        if unknown:
            raise InputError(f"no bit {unknown[0]!r}; bits are {', '.join(BITS)}")
        return sum(1 << BITS[name] for name in names)


FLAGS = {"FLAG": Mask()}


@pytest.fixture
def table():
    return Table(
        {
            "snr": np.array([10.0, 90, np.nan, 200, 80], dtype=np.float32) * u.one,
            "flag_sp": np.array([0, 0, 0, 1, 0]),
            "FLAG": np.array([0, 1, 1 << 31, 0, 1 << 40]),
            "name": ["a", "b", "c", "d", "e"],
            "pair": np.zeros((5, 2)),
        }
    )


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("> 80", [False, True, False, True, False]),
        (">= 80", [False, True, False, True, True]),
        ("< 8e1", [True, False, False, False, False]),
        ("<=80.", [True, False, False, False, True]),
        ("== 80", [False, False, False, False, True]),
        ("!= 80", [True, True, False, True, False]),
        (" finite ", [True, True, False, True, True]),
    ],
)
def test_conditions_and_nan_fails_each(table, condition, expected):
    mask, report = apply_cuts(table, {"snr": condition})
    assert mask.tolist() == expected
    assert report[0].removed == 5 - sum(expected) and report[0].left == sum(expected)


def test_infinity_fails_every_condition():
    table = Table({"x": [np.inf, -np.inf, 1.0]})
    for condition in ("> 0", "finite", "!= 5"):
        assert apply_cuts(table, {"x": condition})[0].tolist() == [False, False, True]


@pytest.mark.parametrize(
    "names, expected",
    [
        (["LOW"], [True, False, True, True, True]),
        (["HIGH"], [True, True, False, True, True]),
        (["LOW", "TOP"], [True, False, True, True, False]),
    ],
)
def test_bits_by_name(table, names, expected):
    mask, report = apply_cuts(table, {"FLAG": {"without": names}}, FLAGS)
    assert mask.tolist() == expected
    assert report[0].condition == f"without {', '.join(names)}"


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, ">i4", np.int64, np.uint64])
def test_bit_31_is_like_any_other_in_every_type(dtype):
    values = np.array([0, 1 << 31, 1], dtype=np.uint32).astype(dtype)
    mask, _ = apply_cuts(
        Table({"FLAG": values}), {"FLAG": {"without": ["HIGH"]}}, FLAGS
    )
    assert mask.tolist() == [True, False, True]


def test_masked_values_fail(table):
    table["snr"] = MaskedColumn([1.0] * 5, mask=[0, 1, 0, 0, 0])
    table["FLAG"] = MaskedColumn([0] * 5, mask=[1, 0, 0, 0, 0])
    cuts = {"snr": "> 0", "FLAG": {"without": ["LOW"]}}
    assert apply_cuts(table, cuts, FLAGS)[0].tolist() == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_each_cut_counts_what_it_removes_of_those_left(table):
    cuts = [{"snr": "> 50", "flag_sp": "== 0"}, {"snr": "> 85"}]
    mask, report = apply_cuts(table, cuts)
    assert report == [
        Cut("snr", "> 50", 2, 3),
        Cut("flag_sp", "== 0", 1, 2),
        Cut("snr", "> 85", 1, 1),
    ]
    assert mask.tolist() == [False, True, False, False, False]


def test_the_order_of_cuts_moves_the_counts_but_not_the_stars():
    rng = np.random.default_rng(1)
    table = Table(rng.normal(size=(1000, 3)), names=["a", "b", "c"])
    cuts = {"a": "> 0", "b": "< 1", "c": ">= -0.5"}
    mask, report = apply_cuts(table, cuts)
    back, other = apply_cuts(table, dict(reversed(cuts.items())))
    np.testing.assert_array_equal(mask, back)
    assert sum(c.removed for c in report) == sum(c.removed for c in other)
    assert report[0].removed != other[2].removed


def test_valid_labels_are_one_cut_before_the_others():
    table = Table(
        {"teff": [1.0, np.nan, 3], "logg": [np.nan, np.nan, 2], "snr": [9, 9, 9]}
    )
    mask, report = apply_cuts(table, {"snr": "> 5"}, labels=("teff", "logg"))
    assert report[0] == Cut("labels", "valid: teff, logg", 2, 1)
    assert report[1] == Cut("snr", "> 5", 0, 1) and mask.tolist() == [
        False,
        False,
        True,
    ]


def test_no_cuts_and_no_rows(table):
    mask, report = apply_cuts(table, {})
    assert mask.all() and report == [] and report_lines(report) == ["no cuts"]
    mask, report = apply_cuts(table[:0], {"snr": "> 5"})
    assert len(mask) == 0 and report == [Cut("snr", "> 5", 0, 0)]


def test_the_table_is_not_changed(table):
    before = table.copy()
    apply_cuts(table, {"snr": "> 5", "FLAG": {"without": ["LOW"]}}, FLAGS)
    for name in table.colnames:
        np.testing.assert_array_equal(table[name], before[name])


def test_lines_show_every_cut(table):
    lines = report_lines(apply_cuts(table, {"snr": "> 50", "flag_sp": "== 0"})[1])
    assert lines[0].split() == ["removed", "left", "column", "condition"]
    assert lines[1].split() == ["5"]
    assert lines[2].split() == ["2", "3", "snr", ">", "50"]
    assert lines[3].split() == ["1", "2", "flag_sp", "==", "0"]
    big = report_lines([Cut("x", "finite", 1000, 1234567)])
    assert big[1].split() == ["1,235,567"] and "1,234,567" in big[2]


# ---- what cannot be done


@pytest.mark.parametrize(
    "condition",
    [
        *(
            "",
            "80",
            "> ",
            "> x",
            "=> 3",
            "= 3",
            "> 3 < 5",
            "> nan",
            "> inf",
            "isfinite",
        ),
        *(80, True, None, ["> 3"], {}, {"with": ["LOW"]}, {"without": "LOW"}),
        *({"without": []}, {"without": [3]}, {"without": ["LOW"], "with": ["TOP"]}),
    ],
)
def test_what_is_no_condition(table, condition):
    with pytest.raises(InputError, match="is no condition; expected a comparison"):
        check_condition(condition)
    with pytest.raises(InputError, match=r"^surveys\.a\.cuts\.snr: .* is no condition"):
        apply_cuts(table, {"snr": condition}, where="surveys.a.cuts")


@pytest.mark.parametrize(
    "cuts, expected",
    [
        (
            {"SNRR": "> 3"},
            r"^cuts\.SNRR: there is no column 'SNRR' \(did you mean 'snr'",
        ),
        ({"zzz": "> 3"}, r"no column 'zzz'; the columns are snr, flag_sp, FLAG, name"),
        ({"name": "> 3"}, r"^cuts\.name: the column has type <U1 and shape \(5,\)"),
        ({"pair": "finite"}, r"^cuts\.pair: .* shape \(5, 2\); .* one number per row"),
        (
            {"FLAG": {"without": ["LO"]}},
            r"^cuts\.FLAG: no bit 'LO'; bits are LOW, HIGH",
        ),
        ({"flag_sp": {"without": ["LOW"]}}, r"^cuts\.flag_sp: .* these are FLAG$"),
    ],
)
def test_cuts_that_cannot_be_applied(table, cuts, expected):
    with pytest.raises(InputError, match=expected):
        apply_cuts(table, cuts, FLAGS)


def test_bits_need_whole_numbers_and_a_table_of_names():
    table = Table({"FLAG": [1.0, 2.0]})
    cuts = {"FLAG": {"without": ["LOW"]}}
    with pytest.raises(InputError, match=r"type float64; bits need whole numbers"):
        apply_cuts(table, cuts, FLAGS)
    with pytest.raises(InputError, match=r"these are \(none\)"):
        apply_cuts(Table({"FLAG": [1, 2]}), cuts)


def test_a_missing_label_column(table):
    with pytest.raises(InputError, match=r"^labels\.teff: there is no column 'teff'"):
        apply_cuts(table, {}, labels=("teff",))


def test_suggestions():
    assert suggest("SNRR", ["snr", "teff"]) == " (did you mean 'snr'?)"
    assert suggest("whatever", ["snr", "teff"]) == "" and suggest("x", []) == ""
