"""Simulated stars and surveys: spectra from line lists, files in the true layouts."""

from .sample import Simulation, simulate_spectra
from .survey import simulate

__all__ = ["Simulation", "simulate", "simulate_spectra"]
