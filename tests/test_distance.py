"""Distance to the training set: equal to brute force, whatever the threads."""

import numpy as np
import pytest

from fastcannon import InputError, distance
from fastcannon.distance import (
    DISTANCE_LABELS,
    NEIGHBOURS,
    distance_limit,
    training_distance,
)

RMS = np.array([60.0, 0.12, 0.06, 0.03])  # K, dex
CENTRES = np.array([5000.0, 3.5, -0.2, 0.05])
WIDTHS = np.array([600.0, 1.0, 0.3, 0.1])


@pytest.fixture(scope="module")
def training():
    return np.random.default_rng(1).normal(CENTRES, WIDTHS, (700, 4))


@pytest.fixture(scope="module")
def labels():
    """Stars like the training stars and, every fifth, far outside."""
    rng = np.random.default_rng(2)
    found = rng.normal(CENTRES, WIDTHS, (1500, 4))
    found[::5] += 5 * WIDTHS
    return found


def brute_force(labels, training, rms):
    squares = (((labels[:, None] - training) / rms) ** 2).sum(axis=2)
    return np.sort(squares, axis=1)[:, :10].mean(axis=1)


def test_equal_to_brute_force(labels, training):
    found = training_distance(labels, training, RMS)
    # Measured: 2e-15.
    np.testing.assert_allclose(found, brute_force(labels, training, RMS), rtol=1e-12)


def test_threads_and_blocks_do_not_change_the_answer(labels, training, monkeypatch):
    one = training_distance(labels, training, RMS)
    np.testing.assert_array_equal(training_distance(labels, training, RMS, 2), one)
    monkeypatch.setattr(distance, "_BLOCK", 77)
    np.testing.assert_array_equal(training_distance(labels, training, RMS), one)


def test_known_values():
    # All training stars at one place: D is the squared distance to it.
    training = np.tile([5000.0, 4.0], (NEIGHBOURS, 1))
    found = training_distance([[5000, 4], [5100, 4], [5100, 4.3]], training, [50, 0.1])
    np.testing.assert_allclose(found, [0, 4, 13], rtol=1e-12)
    # An eleventh star does not count where it is farther.
    more = np.vstack([training, [9000.0, 0.0]])
    np.testing.assert_array_equal(
        training_distance([[5100.0, 4.0]], more, [50, 0.1]), found[1:2]
    )


def test_nearest_are_nearest_in_units_of_the_rms():
    training = np.zeros((20, 2))
    training[:10, 0], training[10:, 1] = 3, 2  # nearer in the second label, but ...
    found = training_distance([[0.0, 0.0]], training, [1.0, 0.1])
    assert found == pytest.approx([9])


def test_units_of_a_label_do_not_matter(labels, training):
    unit = np.array([1e-3, 1, 1, 100])
    found = training_distance(labels * unit, training * unit, RMS * unit)
    # Measured: 3e-15.
    np.testing.assert_allclose(found, training_distance(labels, training, RMS), 1e-12)


def test_the_limit_tells_stars_outside(labels, training):
    assert distance_limit(4) == 8 and distance_limit(len(DISTANCE_LABELS)) == 8
    far = training_distance(labels, training, 3 * RMS) > distance_limit(4)
    # Measured: 3.5 percent of the others, in the tails where training stars are few.
    assert far[::5].all() and np.delete(far, np.s_[::5]).mean() < 0.06


def test_unknown_labels_have_no_distance_and_disturb_no_one(labels, training):
    some = labels.copy()
    some[3, 1], some[40, 0], some[41] = np.nan, np.inf, np.nan
    given = some.copy()
    found = training_distance(some, training, RMS)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), [3, 40, 41])
    expected = training_distance(labels, training, RMS)
    expected[[3, 40, 41]] = np.nan
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(some, given)


def test_no_stars_and_no_known_stars(training):
    assert training_distance(np.empty((0, 4)), training, RMS).shape == (0,)
    assert np.isnan(training_distance(np.full((3, 4), np.nan), training, RMS)).all()


@pytest.mark.parametrize(
    "change, match",
    [
        ({"training": CENTRES + np.zeros((9, 4))}, "there are 9 training stars"),
        ({"training": np.full((20, 4), np.nan)}, "20 training stars have labels"),
        ({"training": np.ones((20, 3))}, r"\(5, 4\), \(20, 3\), \(4,\).*same labels"),
        ({"labels": np.ones(4)}, r"shapes \(\(4,\), .* expected \(S, L\)"),
        ({"labels": np.ones((5, 0)), "rms": []}, r"shapes \(\(5, 0\)"),
        ({"rms": RMS[:3]}, r"\(3,\)\); expected"),
        ({"rms": RMS * [1, 0, 1, 1]}, "positive numbers are expected"),
        ({"rms": RMS * [1, np.nan, 1, 1]}, "positive numbers are expected"),
        ({"rms": -RMS}, "positive numbers are expected"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_bad_input(change, match):
    good = {
        "labels": CENTRES + np.zeros((5, 4)),
        "training": CENTRES + np.zeros((20, 4)),
        "rms": RMS,
    }
    with pytest.raises(InputError, match=match):
        training_distance(**(good | change))
