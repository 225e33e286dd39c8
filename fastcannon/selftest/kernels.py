"""Every main kernel against its plain NumPy twin."""

import numpy as np

from . import inference, training


def compare_kernels():
    """Compare every main kernel with its twin.

    Kernels are taken from their modules as they are called, so that what is compared is
    what this process has.

    Yields
    ------
    name : str
        Module and function of the kernel.
    difference : float
        As `away` gives it; inf where the kernel raised.
    allowed : float
    """
    for module in (training, inference):
        data = module.make()
        for name, (run, allowed) in module.CASES.items():
            try:
                difference = max(away(*pair) for pair in run(data))
            except Exception:  # whatever a broken kernel does, others are looked at
                difference = np.inf
            yield name, difference, allowed


def away(found, expected):
    """Return the largest difference of two arrays, relative to the largest expected.

    Parameters
    ----------
    found, expected : array_like
        Of any shape; inf is returned where theirs differ, or where one has a number and
        the other none.

    Returns
    -------
    float
    """
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    known = np.isfinite(expected)
    if found.shape != expected.shape or not np.array_equal(known, np.isfinite(found)):
        return np.inf
    largest = abs(expected[known]).max(initial=0.0)
    return float(abs(found - expected)[known].max(initial=0.0) / (largest or 1.0))
