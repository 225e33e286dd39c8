"""Bit masks of APOGEE and GALAH as named tables, so that cuts are written by name."""

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from ..errors import InputError

_SDSS = "https://www.sdss4.org/dr17/irspec/apogee-bitmasks"
_ARMS = ("BLUE", "GREEN", "RED", "IR")


@dataclass(frozen=True)
class BitMask:
    """Names of the bits of a flag column.

    Attributes
    ----------
    name : str
        Of the mask, as the survey calls it.
    bits : dict of str to int
        Name of a flag to its bit, counted from 0.
    source : str
        Where the survey defines it.
    """

    name: str
    bits: dict[str, int]
    source: str

    def value(self, names):
        """Return the integer in which exactly the named bits are set.

        Parameters
        ----------
        names : str or sequence of str
            Upper or lower case.

        Raises
        ------
        InputError
            A name is unknown; names those that are close, and all there are.
        """
        names = [names] if isinstance(names, str) else names
        value = 0
        for name in names:
            if str(name).upper() not in self.bits:
                raise InputError(self._unknown(name))
            value |= 1 << self.bits[name.upper()]
        return value

    def names(self, value):
        """Return the names of the bits that are set, the lowest first.

        Parameters
        ----------
        value : int
            Bits without a name are passed over.
        """
        by_bit = sorted(self.bits.items(), key=lambda item: item[1])
        return [name for name, bit in by_bit if int(value) >> bit & 1]

    def _unknown(self, name):
        close = get_close_matches(str(name).upper(), self.bits, n=3)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        return f"{self.name} has no flag {name!r}; {hint}It has {', '.join(self.bits)}"


# One table for DR12-DR17: later releases added bits (22-25) and changed none.
STARFLAG = BitMask(
    "STARFLAG",
    {
        "BAD_PIXELS": 0,
        "COMMISSIONING": 1,
        "BRIGHT_NEIGHBOR": 2,
        "VERY_BRIGHT_NEIGHBOR": 3,
        "LOW_SNR": 4,
        "PERSIST_HIGH": 9,
        "PERSIST_MED": 10,
        "PERSIST_LOW": 11,
        "PERSIST_JUMP_POS": 12,
        "PERSIST_JUMP_NEG": 13,
        "SUSPECT_RV_COMBINATION": 16,
        "SUSPECT_BROAD_LINES": 17,
        "BAD_RV_COMBINATION": 18,
        "RV_REJECT": 19,
        "RV_SUSPECT": 20,
        "MULTIPLE_SUSPECT": 21,
        "RV_FAIL": 22,
        "SUSPECT_ROTATION": 23,
        "MTPFLUX_LT_75": 24,
        "MTPFLUX_LT_50": 25,
    },
    _SDSS,
)

# Bits 0-31 are those of DR12-DR16 (32-bit column); DR17 is a 64-bit column that keeps
# them and adds 32-36, 40 and 41.
ASPCAPFLAG = BitMask(
    "ASPCAPFLAG",
    {
        "TEFF_WARN": 0,
        "LOGG_WARN": 1,
        "VMICRO_WARN": 2,
        "M_H_WARN": 3,
        "ALPHA_M_WARN": 4,
        "C_M_WARN": 5,
        "N_M_WARN": 6,
        "STAR_WARN": 7,
        "CHI2_WARN": 8,
        "COLORTE_WARN": 9,
        "ROTATION_WARN": 10,
        "SN_WARN": 11,
        "SPEC_HOLE_WARN": 12,
        "ATMOS_HOLE_WARN": 13,
        "VSINI_WARN": 14,
        "TEFF_BAD": 16,
        "LOGG_BAD": 17,
        "VMICRO_BAD": 18,
        "M_H_BAD": 19,
        "ALPHA_M_BAD": 20,
        "C_M_BAD": 21,
        "N_M_BAD": 22,
        "STAR_BAD": 23,
        "CHI2_BAD": 24,
        "COLORTE_BAD": 25,
        "ROTATION_BAD": 26,
        "SN_BAD": 27,
        "SPEC_HOLE_BAD": 28,
        "ATMOS_HOLE_BAD": 29,
        "VSINI_BAD": 30,
        "NO_ASPCAP_RESULT": 31,
        "MISSING_APSTAR": 32,
        "NO_GRID": 33,
        "BAD_FRAC_LOWSNR": 34,
        "BAD_FRAC_BADPIX": 35,
        "FERRE_FAIL": 36,
        "PROBLEM_TARGET": 40,
        "MULTIPLE_SUSPECT": 41,
    },
    _SDSS,
)

APOGEE_PIXMASK = BitMask(
    "APOGEE_PIXMASK",
    {
        "BADPIX": 0,
        "CRPIX": 1,
        "SATPIX": 2,
        "UNFIXABLE": 3,
        "BADDARK": 4,
        "BADFLAT": 5,
        "BADERR": 6,
        "NOSKY": 7,
        "LITTROW_GHOST": 8,
        "PERSIST_HIGH": 9,
        "PERSIST_MED": 10,
        "PERSIST_LOW": 11,
        "SIG_SKYLINE": 12,
        "SIG_TELLURIC": 13,
        "NOT_ENOUGH_PSF": 14,
        "FERRE_MASK": 16,
    },
    _SDSS,
)

# DUPLICATE: the star has another entry (another field or telescope) of higher S/N.
EXTRATARG = BitMask(
    "EXTRATARG",
    {"NOT_MAIN": 0, "COMMISSIONING": 1, "TELLURIC": 2, "APO1M": 3, "DUPLICATE": 4},
    "http://www.sdss4.org/dr16/irspec/targettingbits/",
)

# The survey describes these bits but does not name them: the names are ours.
FLAG_SP = BitMask(
    "flag_sp",
    {
        "BAD_ASTROMETRY": 0,  # ruwe_dr2 > 1.4
        "BAD_BROADENING": 1,
        "LOW_SNR": 2,  # snr_c2_iraf < 10
        "REDUCTION_ISSUE": 3,  # wavelength solution, odd or negative flux, spikes
        "EMISSION": 4,  # found by t-SNE
        "BINARY": 5,  # found by t-SNE
        "BINARY_SEQUENCE": 6,  # or before the main sequence
        "HIGH_CHI2": 7,
        "BAD_FE_LINES": 8,  # [Fe/H] not reliable, or blends suspected
        "NOT_FINISHED": 9,  # no convergence, or the velocity fit failed
        "GRID_LIMIT": 10,  # edge of the MARCS grid, or unreasonable parameters
    },
    "https://www.galah-survey.org/dr3/flags",
)

_PER_ARM = ("BAD_TRACE", "BAD_WAVELENGTH", "CROSS_TALK", "NO_RV")
# The names are ours here too; bits 0-15 are four defects in each of the four arms.
REDUCTION_FLAGS = BitMask(
    "reduction_flags",
    {
        f"{what}_{arm}": 4 * i + j
        for i, what in enumerate(_PER_ARM)
        for j, arm in enumerate(_ARMS)
    }
    | {"NO_RV": 16, "NO_PARAMETERS": 17, "HIGH_RESOLUTION": 18, "SINGLE_OBJECT": 19},
    "flags_description.txt of GALAH's reduction 6.0",
)


def unsigned(bits):
    """Return integers as uint64, so that bit 31 of 32 does not become bits 31 to 63."""
    return bits.astype(f"u{bits.dtype.itemsize}").astype(np.uint64)
