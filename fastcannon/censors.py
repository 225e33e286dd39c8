"""Which pixels may use a label: the windows of the lines of its elements.

Nandakumar+2022 (section 3.3) lets [alpha/Fe] act in windows of lines of Si, Mg, Ti and
Ca only, so that the model cannot take it from elements that merely go along with it.
"""

from importlib import resources

import numpy as np

from .checks import check_wavelength
from .errors import FileFormatError, InputError
from .usertables import read_any
from .wavelengths import MEDIA, convert

COLUMNS = ("element", "start", "end", "medium")

# In the APOGEE filters a window with a small weight is one that blends of other
# elements, or the temperature, disturb as much as its own element does.
LEAST_WEIGHT = 0.1


def read_windows(path):
    """Read a table of line windows.

    Parameters
    ----------
    path : str or Path
        ECSV, CSV, FITS or any other table that astropy tells by its name. Columns
        element, start, end (Angstrom) and medium ("air" or "vacuum"); others, such as
        survey and weight, are kept.

    Returns
    -------
    astropy Table
        One row per window.

    Raises
    ------
    FileFormatError
        The file is no table, lacks a column, or a row is no window.
    """
    windows = read_any(path, ", ".join(COLUMNS))
    try:
        return check_windows(windows)
    except InputError as error:
        raise FileFormatError(f"{path}: {error}") from error


def default_windows(survey):
    """Return the windows of Si, Mg, Ti and Ca for a survey, "apogee" or "galah".

    Windows whose weight is below a tenth of the largest of their element are left out:
    blends disturb them. The sources stand in data/line_windows.ecsv.

    Raises
    ------
    InputError
        Another survey.
    """
    source = resources.files("fastcannon") / "data" / "line_windows.ecsv"
    with resources.as_file(source) as path:
        windows = read_windows(path)
    known = sorted(set(windows["survey"]))
    if survey not in known:
        raise InputError(
            f"there are no windows for {survey!r}, only for {', '.join(known)}; give a "
            "table of your own to read_windows"
        )
    windows = windows[windows["survey"] == survey]
    elements = np.asarray(windows["element"])
    largest = {e: windows["weight"][elements == e].max() for e in set(elements)}
    limit = LEAST_WEIGHT * np.array([largest[element] for element in elements])
    return windows[windows["weight"] >= limit]


def censor_masks(wavelength, medium, windows, elements):
    """Return where a label is not used: outside all windows of some elements.

    Parameters
    ----------
    wavelength : (P,) array, Angstrom
        Of the spectra, in their rest frame.
    medium : {"air", "vacuum"}
        What wavelength is measured in; windows are converted to it.
    windows : astropy Table
        As of `read_windows`.
    elements : list of str
        Names as in the table.

    Returns
    -------
    (P,) bool array
        True where the label is not used; a pixel is inside a window if its centre is.

    Raises
    ------
    InputError
        An element is not in the table, or no window of them holds a pixel.
    """
    grid = check_wavelength(wavelength)
    windows = check_windows(windows)
    chosen = _of_elements(windows, elements)
    used = np.zeros(len(grid), bool)
    for row in chosen:
        start, end = convert([row["start"], row["end"]], row["medium"], medium)
        used |= (grid >= start) & (grid <= end)
    if not used.any():
        low, high = chosen["start"].min(), chosen["end"].max()
        raise InputError(
            f"none of the {len(chosen)} windows of {', '.join(elements)}, {low:.1f} to "
            f"{high:.1f} Angstrom, holds a pixel of the grid, {grid[0]:.1f} to "
            f"{grid[-1]:.1f} in {medium}; use the windows of this survey"
        )
    return ~used


def censors(wavelength, medium, label_elements, windows):
    """Return the censors of a `CannonModel` from line windows.

    Parameters
    ----------
    wavelength : (P,) array, Angstrom
    medium : {"air", "vacuum"}
    label_elements : dict of label name to list of elements
        Labels that are used in windows only: ``{"alpha_fe": ["Si", "Mg"]}``.
    windows : astropy Table
        As of `read_windows`.

    Returns
    -------
    dict of label name to (P,) bool array
        As in `censor_masks`.
    """
    return {
        label: censor_masks(wavelength, medium, windows, elements)
        for label, elements in label_elements.items()
    }


def check_windows(windows):
    """Return the table of windows if every row is a window.

    Raises
    ------
    InputError
        A column is missing; a row, counted from 1, has no element, a start above its
        end, or another medium than air and vacuum.
    """
    missing = [name for name in COLUMNS if name not in windows.colnames]
    if missing:
        raise InputError(
            f"the windows have no column {', '.join(missing)}; they have "
            f"{', '.join(windows.colnames)}"
        )
    for number, row in enumerate(windows, start=1):
        start, end = row["start"], row["end"]
        if not _is_number(start) or not _is_number(end) or not 0 < start <= end:
            raise InputError(
                f"row {number} ({row['element']}) goes from {start} to {end}; two "
                "wavelengths in Angstrom with start <= end are needed"
            )
        if row["medium"] not in MEDIA:
            raise InputError(
                f"row {number} ({row['element']}) has medium {str(row['medium'])!r}; "
                "expected 'air' or 'vacuum'"
            )
    return windows


def _is_number(value):
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))


def _of_elements(windows, elements):
    """Return the rows of the elements, or raise InputError for one without any."""
    if isinstance(elements, str) or len(elements) == 0:
        raise InputError(f"elements is {elements!r}; a list such as ['Si'] is needed")
    known = sorted(set(map(str, windows["element"])))
    unknown = [element for element in elements if element not in known]
    if unknown:
        raise InputError(
            f"there are no windows of {', '.join(map(str, unknown))}; the table has "
            f"{', '.join(known)}"
        )
    return windows[np.isin(windows["element"], list(elements))]
