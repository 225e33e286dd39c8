"""Surveys as they are published: one module per survey, found by its name.

A module here gives NAME, MEDIUM, WAVELENGTH, REGIONS, FACTS, CUTS, EXTRA_CUTS, FLAGS,
FLAG_ID, GOOD_SNR and the functions ``groups``, ``read_group``, ``is_normalised``,
``read_catalogue`` and ``quality_flags``; to add a survey is to add such a file.
"""

from importlib import import_module
from inspect import signature
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
from astropy.table import Table

from ..errors import FileFormatError, InputError
from .base import Group, Refused, Row, Spectra

_HELPERS = ("base", "bitmasks", "catalogues")

__all__ = [
    "Group",
    "Refused",
    "Row",
    "Spectra",
    "check_options",
    "facts_table",
    "get",
    "names",
    "read",
    "read_groups",
]


def names():
    """Return the names of the surveys that can be read, sorted.

    They are the modules here whose name has no underscore, but for base,
    bitmasks and catalogues: apogee_catalogue, for example, is a part of apogee.
    """
    found = (module.name for module in iter_modules(__path__))
    return sorted(name for name in found if "_" not in name and name not in _HELPERS)


def get(name):
    """Return the module of a survey.

    Parameters
    ----------
    name : str
        One of `names`.

    Raises
    ------
    InputError
        There is no such survey; names those there are.
    """
    if name not in names():
        raise InputError(
            f"the survey {name!r} is not known; known are {', '.join(names())}. "
            "Other spectra are read from a spectra file: fastcannon.write_spectra"
        )
    return import_module(f".{name}", __name__)


def read(name, paths, **options):
    """Read spectra of a survey from its files.

    Parameters
    ----------
    name : str
        "apogee", "galah".
    paths : str, Path or sequence of them
        The survey's spectrum files, in any order.
    **options
        Of the survey's ``read_group``: ``visits`` (apogee), ``flux`` (galah), ...

    Returns
    -------
    Spectra
        Files that cannot be used are listed in ``refused`` with the reason.

    Raises
    ------
    InputError
        Unknown survey or option, no paths, or not one file could be read.
    """
    survey = get(name)
    check_options(survey, options)
    groups, refused = survey.groups(_path_list(paths))
    rows = []
    for found in read_groups(survey, groups, options):
        rows.extend(found) if isinstance(found, list) else refused.append(found)
    if not rows:
        reasons = "; ".join(f"{r.path}: {r.reason}" for r in refused[:3])
        raise InputError(f"no spectrum of {name} could be read: {reasons}")
    return Spectra(
        survey=name,
        flux=np.array([row.flux for row in rows]),
        ivar=np.array([row.ivar for row in rows]),
        wavelength=survey.WAVELENGTH,
        table=facts_table(survey, [row.facts for row in rows]),
        refused=refused,
        normalised=survey.is_normalised(groups, **options),
        medium=survey.MEDIUM,
    )


def check_options(survey, options):
    """Refuse options that the survey's reader does not have.

    Parameters
    ----------
    survey : module
    options : dict

    Raises
    ------
    InputError
        Names the option and those there are.
    """
    known = list(signature(survey.read_group).parameters)[1:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(
            f"{survey.NAME} cannot be read with the option {', '.join(unknown)}; its "
            f"options are {', '.join(known)}"
        )


def read_groups(survey, groups, options):
    """Read groups of files one after the other; a bad file does not stop the others.

    Parameters
    ----------
    survey : module
    groups : sequence of Group
    options : dict
        Of the survey's ``read_group``.

    Yields
    ------
    list of Row or Refused

    Raises
    ------
    InputError
        An option has a value that the survey does not know.
    """
    for group in groups:
        path = group.paths[0]
        try:
            yield survey.read_group(group, **options)
        except (FileFormatError, FileNotFoundError) as error:
            yield Refused(path, " ".join(str(error).split()))
        except InputError:
            raise
        except OSError as error:
            yield Refused(path, f"cannot be read now: {error.strerror or error}", True)
        except Exception as error:
            # A file that no one thought of must not end a night's run.
            reason = f"unexpected {type(error).__name__} ({error}); please report it"
            yield Refused(path, " ".join(reason.split()))


def facts_table(survey, facts):
    """Return the facts of rows as a table with the survey's columns.

    Parameters
    ----------
    survey : module
    facts : list of dict
        May be empty: the table then has columns and no rows.
    """
    table = Table()
    for name, dtype in survey.FACTS.items():
        table[name] = np.array([row[name] for row in facts], dtype=dtype)
    return table


def _path_list(paths):
    """Return paths as a list of text."""
    if isinstance(paths, (str, Path)):
        paths = [paths]
    paths = [str(path) for path in paths]
    if not paths:
        raise InputError("no files were given; give the paths of the survey's spectra")
    return paths
