"""What every survey's reader gives: groups of files, rows of spectra, refusals."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.table import Table

LARGEST = 1e30  # of a header's numbers; beyond it they are damaged


class Group(NamedTuple):
    """The files that hold one star, in the survey's order, and the name they share.

    Paths are text: a million of them are in memory when a survey is packed.
    """

    key: str
    paths: tuple[str, ...]


class Refused(NamedTuple):
    """A file that could not be used and why, in one sentence.

    ``passing``: the fault may be the system's, not the file's: it is worth a second
    trial.
    """

    path: str
    reason: str
    passing: bool = False


class Row(NamedTuple):
    """One spectrum on the survey's grid.

    ``flux`` and ``ivar`` are (P,) float32 arrays, ivar 0 where a pixel is bad;
    ``facts`` has a value for each column of the survey's FACTS.
    """

    flux: np.ndarray
    ivar: np.ndarray
    facts: dict


@dataclass(frozen=True)
class Spectra:
    """Spectra of a survey on one grid, as read from its files.

    Attributes
    ----------
    survey : str
    flux, ivar : (S, P) float32 arrays
        ivar 0 = no information.
    wavelength : (P,) float64 array, Angstrom
        Increasing; rest frame.
    table : astropy Table
        S rows: id, star_id, visit (0 = combined), snr, file and more.
    refused : list of Refused
        Files that could not be used.
    normalised : bool
        Whether the flux is divided by its continuum.
    medium : str
        "air" or "vacuum": what the wavelengths are measured in.
    """

    survey: str
    flux: np.ndarray
    ivar: np.ndarray
    wavelength: np.ndarray
    table: Table
    refused: list[Refused]
    normalised: bool
    medium: str

    def __len__(self):
        return len(self.flux)
