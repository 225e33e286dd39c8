"""Censors from line windows: the shipped table, the conversion, and bad tables."""

import numpy as np
import pytest
from astropy.table import Table

from fastcannon import CannonModel
from fastcannon.censors import (
    censor_masks,
    censors,
    default_windows,
    read_windows,
)
from fastcannon.errors import FileFormatError, InputError
from fastcannon.wavelengths import air_to_vacuum

APOGEE = 10 ** (4.179 + 6e-6 * np.arange(8575))
GALAH = np.concatenate(
    [
        start + step * np.arange(4096)
        for start, step in (
            (4713.5, 0.046),
            (5648.8, 0.0547),
            (6478.5, 0.0632),
            (7585.0, 0.0737),
        )
    ]
)
GRIDS = {"apogee": (APOGEE, "vacuum"), "galah": (GALAH, "air")}
ALPHA = ["Si", "Mg", "Ti", "Ca"]


def windows_of(*rows):
    return Table(rows=rows, names=("element", "start", "end", "medium"))


@pytest.mark.parametrize(
    "survey, counts",
    [
        # as many as the filters have pixels of weight in these windows
        ("apogee", {"Si": 142, "Mg": 84, "Ti": 52, "Ca": 36}),
        # the widths of the windows, 34.7 A, in pixels
        ("galah", {"Si": 150, "Mg": 61, "Ti": 370, "Ca": 46}),
    ],
)
def test_pixels_of_every_element_on_the_real_grids(survey, counts):
    wavelength, medium = GRIDS[survey]
    windows = default_windows(survey)
    found = {
        element: (~censor_masks(wavelength, medium, windows, [element])).sum()
        for element in ALPHA
    }
    assert found == counts


def test_weak_windows_are_left_out():
    windows = default_windows("apogee")
    silicon = windows[windows["element"] == "Si"]
    # without the two single pixels of weight 1e-4 and 4e-4
    assert len(silicon) == 12 and silicon["weight"].min() > 0.07
    assert len(default_windows("galah")) == 60


def test_no_window_is_read_in_the_wrong_medium():
    # An air window read as vacuum would miss its line by 1.6 A, three times its width.
    windows = default_windows("galah")
    vacuum = ~censor_masks(air_to_vacuum(GALAH), "vacuum", windows, ALPHA)
    air = ~censor_masks(GALAH, "air", windows, ALPHA)
    # an edge may fall on the other side of a pixel by rounding
    assert abs(vacuum.sum() - air.sum()) <= 1 and (vacuum != air).sum() <= 1
    wrong = ~censor_masks(GALAH, "vacuum", windows, ALPHA)
    assert (wrong & air).sum() < 0.2 * air.sum()


def test_masks_are_the_union_of_the_windows():
    grid = np.arange(5000.0, 5010.0)
    windows = windows_of(
        ("Si", 5001.0, 5002.0, "air"),
        ("Si", 5002.0, 5004.5, "air"),
        ("Mg", 5008.0, 5008.0, "air"),
    )
    used = ~censor_masks(grid, "air", windows, ["Si"])
    assert list(grid[used]) == [5001, 5002, 5003, 5004]
    both = ~censor_masks(grid, "air", windows, ["Mg", "Si"])
    assert list(grid[both]) == [5001, 5002, 5003, 5004, 5008]


def test_censors_reach_the_model():
    found = censors(APOGEE, "vacuum", {"alpha_fe": ALPHA}, default_windows("apogee"))
    part = slice(4100, 4400)
    mask = found["alpha_fe"][part]
    model = CannonModel(("teff", "alpha_fe"), censors={"alpha_fe": mask})
    rng = np.random.default_rng(0)
    labels, flux = rng.normal(size=(30, 2)), rng.normal(size=(30, 300))
    model.train(labels, flux, np.ones((30, 300)), wavelength=APOGEE[part])
    uses_alpha = model.theta[:, model.terms.containing([False, True])].any(axis=1)
    assert 0 < uses_alpha.sum() < 50
    np.testing.assert_array_equal(uses_alpha, ~mask)


def test_a_table_of_one_s_own(tmp_path):
    path = tmp_path / "windows.csv"
    path.write_text("element,start,end,medium\nO,7771,7776,air\n")
    windows = read_windows(path)
    used = ~censor_masks(GALAH, "air", windows, ["O"])
    assert used.sum() == 68
    with pytest.raises(FileNotFoundError):
        read_windows(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    "text, message",
    [
        ("element,start,end\nO,1,2\n", "no column medium; they have element"),
        (
            "element,start,end,medium\nO,6000,6001,air\nSi,7776,7771,air\n",
            r"row 2 \(Si\) goes from 7776 to 7771",
        ),
        ("element,start,end,medium\nO,x,2,air\n", "row 1 .* from x to 2"),
        ("element,start,end,medium\nO,,2,air\n", "row 1 .* from -- to 2"),
        ("element,start,end,medium\nO,1,2,water\n", "row 1 .* medium 'water'"),
        ("", "no column element, start, end, medium"),
    ],
)
def test_bad_tables_are_refused_by_row(tmp_path, text, message):
    path = tmp_path / "windows.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_windows(path)
    assert "windows.csv" in str(caught.value)


def test_no_table_at_all(tmp_path):
    path = tmp_path / "windows.txt"
    path.write_text("nothing\n")
    with pytest.raises(FileFormatError, match="no table that can be read"):
        read_windows(path)


def test_bad_input_is_refused():
    windows = default_windows("galah")
    with pytest.raises(InputError, match="no windows for 'lamost', only for apogee"):
        default_windows("lamost")
    with pytest.raises(InputError, match="no windows of Xx; the table has Ca, Mg, Si"):
        censor_masks(GALAH, "air", windows, ["Si", "Xx"])
    with pytest.raises(
        InputError, match=r"windows of Si, Ca, 5665.* grid, 15100.* in vacuum"
    ):
        censor_masks(APOGEE, "vacuum", windows, ["Si", "Ca"])
    with pytest.raises(InputError, match="medium is 'glass'"):
        censor_masks(GALAH, "glass", windows, ["Si"])
    with pytest.raises(InputError, match="a list such as"):
        censor_masks(GALAH, "air", windows, "Si")
    with pytest.raises(InputError, match="row 1 "):
        censor_masks(GALAH, "air", windows_of(("Si", 2.0, 1.0, "air")), ["Si"])
    with pytest.raises(InputError, match="increase"):
        censor_masks(GALAH[::-1], "air", windows, ["Si"])
