"""Figures of a run, each a function that takes data and matplotlib Axes."""
