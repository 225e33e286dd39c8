"""fastcannon: put stellar labels of spectroscopic surveys on one scale."""

from . import continuum
from .errors import (
    BadPixelWarning,
    FastcannonError,
    FastcannonWarning,
    FileFormatError,
    InputError,
    TrainingWarning,
)
from .inference import STAR_STATUS, InferenceResult
from .model import CannonModel, L1Path
from .spectra import SpectraFile, write_spectra
from .training import PIXEL_STATUS
from .validation import CrossValidation

__version__ = "0.1.0"

__all__ = [
    "PIXEL_STATUS",
    "STAR_STATUS",
    "BadPixelWarning",
    "CannonModel",
    "CrossValidation",
    "FastcannonError",
    "FastcannonWarning",
    "FileFormatError",
    "InferenceResult",
    "InputError",
    "L1Path",
    "SpectraFile",
    "TrainingWarning",
    "continuum",
    "write_spectra",
]
