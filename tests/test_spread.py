"""Robust widths: of normal deviates, of wild values, of columns with gaps."""

import numpy as np
import pytest

from fastcannon.spread import half_range, robust_sigma


@pytest.mark.parametrize("width", [half_range, robust_sigma])
def test_normal_deviates_have_their_standard_deviation(width):
    values = np.random.default_rng(1).normal([5.0, -3.0], [2.0, 0.1], (200_000, 2))
    # standard errors: 0.3 % of half_range, 0.27 % of robust_sigma
    np.testing.assert_allclose(width(values), [2.0, 0.1], rtol=0.01)
    assert width(values[:, 0]) == width(values)[0]
    values[:100] = 1e9
    np.testing.assert_allclose(width(values), [2.0, 0.1], rtol=0.01)


def test_values_that_are_missing_do_not_count():
    values = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, 3.0], [np.nan, 5.0]])
    # P16 and P84 of (0, 1, 2) are 0.32 and 1.68
    np.testing.assert_allclose(half_range(values), [0.68, 1.36], rtol=1e-12)
    np.testing.assert_allclose(robust_sigma(values), [1.4826, 2.9652], rtol=1e-12)
    assert half_range(values[:, 0]) == pytest.approx(0.68)
    assert robust_sigma(values[:, 0]) == pytest.approx(1.4826)
