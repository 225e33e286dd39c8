"""Figures: what they show and say, and that they leave matplotlib as it was."""

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure

from fastcannon.errors import InputError
from fastcannon.figures.style import FEW_STARS
from fastcannon.plots import one_to_one

NAMES = ("teff", "logg", "age")
CENTRES, ERRORS = np.array([5000.0, 3.0, 4.0]), np.array([87.3, 0.2, 0.05])


def pairs(n_stars):
    rng = np.random.default_rng(2)
    true = CENTRES + rng.normal(size=(n_stars, 3)) * np.array([600.0, 1.0, 1.0])
    return true, true + ERRORS * rng.normal(size=true.shape)


def test_few_stars_are_points_and_many_a_density():
    few = one_to_one(*pairs(50), NAMES)
    many = one_to_one(*pairs(FEW_STARS + 1), NAMES)
    assert all(isinstance(axis.collections[0], PathCollection) for axis in few.axes)
    assert all(isinstance(axis.collections[0], PolyCollection) for axis in many.axes)


def test_panels_name_the_label_and_its_unit():
    labels = [axis.get_ylabel() for axis in one_to_one(*pairs(50), NAMES).axes]
    assert "mathrm{eff}" in labels[0] and labels[0].endswith("(K)")
    assert labels[1].endswith("(dex)")
    assert labels[2] == "inferred age"


def test_panels_say_offset_and_spread():
    true, inferred = pairs(400)
    inferred[:, 0] += 40.0
    inferred[3, 0] = np.nan
    text = one_to_one(true, inferred, NAMES).axes[0].texts[0].get_text()
    difference = np.delete(inferred[:, 0] - true[:, 0], 3)
    low, high = np.percentile(difference, (16, 84))
    assert f"mean {difference.mean():+.1f} K" in text
    assert f"scatter {(high - low) / 2:.1f} K" in text
    assert "399 stars" in text


def test_outliers_are_counted_and_do_not_stretch_the_panel():
    true, inferred = pairs(50)
    inferred[0, 0] = 1e6
    axis = one_to_one(true, inferred, NAMES).axes[0]
    assert "1 outside" in axis.texts[0].get_text()
    assert axis.get_ylim() == axis.get_xlim()
    assert axis.get_ylim()[1] < 8000.0


def test_more_than_three_labels_take_a_second_row():
    values = np.arange(20.0).reshape(5, 4)
    figure = one_to_one(values, values, ["a", "b", "c", "d"])
    assert len(figure.axes) == 4
    rows = {round(axis.get_subplotspec().rowspan.start) for axis in figure.axes}
    assert rows == {0, 1}


def test_given_axes_are_used():
    figure = Figure()
    axes = figure.subplots(1, 3)
    assert one_to_one(*pairs(50), NAMES, axes=axes) is figure
    assert all(axis.collections for axis in axes)


def test_equal_labels_and_a_single_star_are_drawn(tmp_path):
    true = np.full((1, 1), 3.0)
    figure = one_to_one(true, true, ["logg"])
    figure.savefig(tmp_path / "one.png")
    assert "scatter 0.000 dex" in figure.axes[0].texts[0].get_text()


def test_files_are_written_and_settings_stay(tmp_path):
    before = dict(matplotlib.rcParams)
    figure = one_to_one(*pairs(FEW_STARS + 1), NAMES)
    figure.savefig(tmp_path / "figure.png")
    figure.savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert dict(matplotlib.rcParams) == before


def test_unusable_input_is_refused():
    true, inferred = pairs(10)
    with pytest.raises(InputError, match="shape"):
        one_to_one(true, inferred[:5], NAMES)
    with pytest.raises(InputError, match="2 names"):
        one_to_one(true, inferred, NAMES[:2])
    with pytest.raises(InputError, match="axes"):
        one_to_one(true, inferred, NAMES, axes=Figure().subplots(1, 2))
    with pytest.raises(InputError, match="'logg'"):
        one_to_one(true, inferred * np.array([1.0, np.nan, 1.0]), NAMES)
