"""From one survey's labels to another's, without spectra (Thomas+2024)."""

from .settings import Settings
from .translator import Translator

__all__ = ["Settings", "Translator"]
