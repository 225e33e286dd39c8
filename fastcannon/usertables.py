"""Tables that users bring, in any format that astropy knows."""

import warnings

from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from .errors import FileFormatError


def read_any(path, expected=""):
    """Read a table of a user's, in any format that astropy knows, with its masks.

    Parameters
    ----------
    path : str or Path
    expected : str, optional
        Names of the columns it must have, for the error.

    Returns
    -------
    astropy Table

    Raises
    ------
    FileFormatError
        It is no table.
    FileNotFoundError
    """
    try:
        with warnings.catch_warnings():
            # Units that FITS does not know (dex) are of no concern here.
            warnings.simplefilter("ignore", AstropyWarning)
            return Table.read(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # astropy's readers raise whatever their parsers raise
        reason = next(iter(str(error).splitlines()), "")
        columns = f" with the columns {expected}" if expected else ""
        raise FileFormatError(
            f"{path}: no table that can be read ({reason}); write FITS, ECSV or CSV"
            f"{columns}"
        ) from error
