"""Simulated stars and surveys: spectra from line lists, files in the true layouts.

What it is the truth for, it computes itself: relations and constants of the package
(vmicro, hydrogen lines, the sun's metals) stand here once more on purpose.
"""

from .sample import Simulation, simulate_spectra
from .survey import simulate

__all__ = ["Simulation", "simulate", "simulate_spectra"]
