"""fastcannon: put stellar labels of spectroscopic surveys on one scale."""

from importlib import import_module

__version__ = "0.1.0"

# Where each public name is. They are imported when first asked for, so that
# ``fastcannon --help`` does not wait for the compiler's library.
_PLACES = {
    "PIXEL_STATUS": "training",
    "STAR_STATUS": "result",
    "BadPixelWarning": "errors",
    "CannonModel": "model",
    "CrossValidation": "validation",
    "FastcannonError": "errors",
    "FastcannonWarning": "errors",
    "FileFormatError": "errors",
    "InferenceResult": "result",
    "InputError": "errors",
    "L1Path": "l1path",
    "Normaliser": "normalise",
    "PackedSurvey": "packed",
    "SpectraFile": "spectra",
    "TrainingWarning": "errors",
    "WriteError": "errors",
    "write_spectra": "spectrawriter",
}

_MODULES = ("continuum", "surveys")

__all__ = sorted([*_PLACES, *_MODULES])


def __getattr__(name):
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in _PLACES:
        return getattr(import_module(f".{_PLACES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*globals(), *__all__]
