"""What a configuration names: the catalogues and the packed spectra of its surveys."""

import numpy as np

from . import match, surveys
from .config import OWN
from .cuts import suggest
from .errors import FileFormatError, InputError
from .match import Catalogue
from .packed import PackedSurvey, rows_of
from .runfolder import RunFolder
from .usertables import read_any


def open_survey(config, survey):
    """Open the packed spectra of a survey, or its own spectra files."""
    if survey.format == OWN:
        return PackedSurvey(survey.files())
    return PackedSurvey.open(RunFolder(config).packed(survey))


def catalogue(survey):
    """Read the catalogue of a survey with the cuts that are to be applied.

    Parameters
    ----------
    survey : config.Survey

    Returns
    -------
    match.Catalogue

    Raises
    ------
    InputError
        It cannot be read, or a column is missing.
    """
    if survey.format == OWN:
        table, flags = _own_catalogue(survey), {}
    else:
        module = surveys.get(survey.format)
        table = module.read_catalogue(survey.catalogue, survey.columns)
        flags = module.FLAGS
    return Catalogue(survey.name, table, survey.cuts, flags, f"{survey.where}.cuts")


def star_codes(survey, packed, table):
    """Number the stars of packed spectra.

    Parameters
    ----------
    survey : config.Survey
        Where packed spectra do not know their star (GALAH), its catalogue of repeats,
        then its catalogue, tell.
    packed : PackedSurvey
    table : astropy Table
        The survey's catalogue.

    Returns
    -------
    (S,) int array
        Equal for spectra of one star, -1 where it is not known.
    """
    found = packed.column("star_id", default=b"")
    if np.any(found == b""):
        tables = [table]
        if survey.catalogue_repeats is not None:
            module = surveys.get(survey.format)
            repeats = module.read_catalogue(survey.catalogue_repeats, survey.columns)
            tables.insert(0, repeats)
        found = np.where(found == b"", _look_up(packed.column("id"), tables), found)
    codes = np.unique(found, return_inverse=True)[1]
    return np.where(found == b"", -1, codes)


def read_table(path, where):
    """Read a table in any format that astropy knows by its name.

    Parameters
    ----------
    path : Path
    where : str
        File and key of the configuration, for errors.

    Returns
    -------
    astropy Table

    Raises
    ------
    InputError
        It cannot be read.
    """
    try:
        return read_any(path)
    except FileNotFoundError as error:
        raise InputError(f"{where}: {path}: no such file") from error
    except FileFormatError as error:
        raise InputError(f"{where}: {error}") from error


def _look_up(ids, tables):
    """Return the star of each id by the first catalogue that knows it, else b""."""
    found = np.full(len(ids), b"")
    for table in tables:
        if "star_id" not in table.colnames:
            continue  # a survey of one's own that is matched by position or Gaia's ids
        names = match.star_ids(table, "the catalogue")[0]
        rows = rows_of(ids, table["id"])
        known = rows >= 0
        new = np.full(len(ids), b"", dtype=names.dtype)
        new[known] = names[rows[known]]
        found = np.where(found == b"", new, found)
    return found


def _own_catalogue(survey):
    """Read a table with our names, but for the columns that the survey names."""
    table = read_table(survey.catalogue, f"{survey.where}.catalogue")
    for ours, theirs in survey.columns.items():
        if theirs not in table.colnames:
            hint = suggest(theirs, table.colnames)
            raise InputError(
                f"{survey.where}.columns.{ours}: {survey.catalogue} has no column "
                f"{theirs!r}{hint}; it has {', '.join(table.colnames)}"
            )
    # Copied, not renamed: one column may serve two purposes.
    for ours, theirs in survey.columns.items():
        table[ours] = table[theirs]
    return table
