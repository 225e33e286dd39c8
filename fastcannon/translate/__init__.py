"""From one survey's labels to another's, without spectra (Thomas+2024)."""

from importlib import import_module

# Imported when first asked for, so that ``fastcannon --help`` does not wait.
_PLACES = {"Settings": "settings", "Translator": "translator"}

__all__ = ["Settings", "Translator"]


def __getattr__(name):
    if name in _PLACES:
        return getattr(import_module(f".{_PLACES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
