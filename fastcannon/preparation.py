"""Spectra made ready for a model: on its wavelengths, normalised as it was trained."""

import warnings

import numpy as np

from .errors import BadPixelWarning, InputError
from .packed import GRID_TOLERANCE


class Preparation:
    """What readies spectra for a model; equal for models that agree on it.

    What was done to the training spectra is done to all, also where the flux was
    normalised before: a continuum that is 1 already stays so.

    Parameters
    ----------
    model : CannonModel
        Trained.
    spectra : SpectraFile or PackedSurvey
        What will be made ready.

    Raises
    ------
    InputError
        The flux is not normalised and the model does not know how to, or it is on
        other wavelengths than the model's.
    """

    def __init__(self, model, spectra):
        normaliser = model.normaliser
        if normaliser is None or normaliser.order is None:
            spectra.require_normalised()
        _check_grid(model, spectra)
        self._normaliser = normaliser
        self._key = None
        if normaliser is not None:
            pixels, regions = normaliser.pixels.tobytes(), tuple(normaliser.regions)
            self._key = normaliser.order, normaliser.error_floor, pixels, regions

    def __call__(self, flux, ivar, threads=None):
        """Return flux and ivar as the model wants them.

        Bad pixels are not warned of: whoever reads all blocks counts them once.

        Parameters
        ----------
        flux, ivar : (S, P) arrays
            Of the spectra.
        threads : int, optional

        Returns
        -------
        flux, ivar : (S, P) arrays
            Those given, where the model has no normaliser.
        """
        if self._normaliser is None:
            return flux, ivar
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BadPixelWarning)
            return self._normaliser.apply(flux, ivar, threads)

    def __eq__(self, other):
        return self._key == other._key

    def __hash__(self):
        return hash(self._key)


def _check_grid(model, spectra):
    """Refuse spectra on other wavelengths than the model's, where it knows its own."""
    if len(model.s2) != spectra.n_pixels:
        raise InputError(
            f"{_name(spectra)} has {spectra.n_pixels} pixels and the model has "
            f"{len(model.s2)}; resample the spectra to the model's wavelengths, or "
            "take the model of this survey"
        )
    if model.wavelength is None:
        return
    apart = np.abs(spectra.wavelength / model.wavelength - 1.0).max()
    if not apart <= GRID_TOLERANCE:
        raise InputError(
            f"the wavelengths of {_name(spectra)} differ from the model's by up to "
            f"{apart:.1e} of their value; resample the spectra to the model's"
        )


def _name(spectra):
    """Return what to call spectra in messages."""
    return getattr(spectra, "path", None) or spectra.parts[0].path.parent
