"""What training leaves behind: all that is needed to translate a table."""

from typing import NamedTuple

import numpy as np
from astropy.table import Table

from .mapping import Map
from .quality import Extent


class Side(NamedTuple):
    """The F inputs or the O outputs, and how they are standardised.

    names, units : tuples of str
    centre, scale : (F,) arrays, label units
        Mean and standard deviation of the training sample.
    errors : tuple of str
        Columns of the errors, "" where there is none.
    typical : (F,) array, label units
        Median of each error in the training sample; 0 where there is none.
    extent : quality.Extent
        Of the training sample.
    """

    names: tuple
    units: tuple
    centre: np.ndarray
    scale: np.ndarray
    errors: tuple
    typical: np.ndarray
    extent: Extent

    def standardise(self, values):
        """Return label units as standardised values, (S, F)."""
        return (values - self.centre) / self.scale

    def restore(self, values):
        """Return standardised values in label units, (S, F)."""
        return values * self.scale + self.centre


class Trained(NamedTuple):
    """A trained translator.

    inputs, outputs : Side
    map : mapping.Map
    floor, factor : (2, O) arrays, label units and pure
        Of `intervals.fit_error`: of the error of the true value (first) and of a value
        measured by the survey of the outputs (second).
    scores : (N, O) array
        |residual| / error of held-out stars, each column sorted.
    reference : (M, F) array
        Standardised inputs of training stars, for the distance.
    limit : float
        Distance above which a star is far from the training sample.
    smooth_far : bool
        Whether the linear map takes over beyond the limit.
    history : (epochs, 2, E) array
        Of `training.train_networks`.
    summary : astropy Table
        One row per output: scatter of held-out stars by every map.
    n_stars, n_incomplete : int
        Training stars, and rows left out for a missing value.
    """

    inputs: Side
    outputs: Side
    map: Map
    floor: np.ndarray
    factor: np.ndarray
    scores: np.ndarray
    reference: np.ndarray
    limit: float
    smooth_far: bool
    history: np.ndarray
    summary: Table
    n_stars: int
    n_incomplete: int
