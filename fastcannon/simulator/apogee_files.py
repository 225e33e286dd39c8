"""apStar and asStar files in APOGEE's layout.

Data model: data.sdss.org/datamodel/files/APOGEE_REDUX/APRED_VERS/APSTAR_VERS.
Images are in single precision as in DR16; flags and names as there.
"""

import os

import numpy as np

from .apogee_spectra import combine, observe_visit, signal_to_noise
from .fitsbytes import blank_image, image, table, write
from .instruments import APOGEE_PIXELS, APOGEE_START, APOGEE_STEP

WAVELENGTH_CARDS = (
    ("CRVAL1", APOGEE_START),
    ("CDELT1", APOGEE_STEP),
    ("CRPIX1", 1),
    ("CTYPE1", "LOG-LINEAR"),
)
BLANK_HDUS = (
    "Sky (10^-17 erg/s/cm^2/Ang)",
    "Sky error (10^-17 erg/s/cm^2/Ang)",
    "Telluric",
    "Telluric error",
)
HISTORY = (
    "simulated by fastcannon",
    "HDU0 : header",
    "HDU1 : flux",
    "HDU2 : flux uncertainty",
    "HDU3 : pixel bitmask",
    "HDU4 : sky",
    "HDU5 : sky uncertainty",
    "HDU6 : telluric",
    "HDU7 : telluric uncertainty",
    "HDU8 : LSF table",
    "HDU9 : RV table",
)
RV_DTYPE = [
    ("filename", "S72"),
    *((name, "f8") for name in ("jd", "snr", "vhelio", "vrel", "vrelerr")),
    *((name, "f8") for name in ("teff", "tefferr", "logg", "loggerr")),
    *((name, "f8") for name in ("feh", "feherr", "chisq", "bc")),
]


def star_path(folder, entry):
    """Return the path of an entry's file below a survey's folder of spectra.

    Parameters
    ----------
    folder : str or Path
    entry : record of TELESCOPE, FIELD, FILE
    """
    place = (entry[name].strip() for name in ("TELESCOPE", "FIELD", "FILE"))
    return os.path.join(folder, *place)


def write_star(path, clean, entry, visits, rng):
    """Observe an entry of allStar and write its spectra.

    Parameters
    ----------
    path : str or Path
    clean : (8575,) float32 array
        Normalised flux of the star without noise.
    entry : mapping
        A row of allStar.
    visits : (V,) list of mappings
        jd, snr, vhelio, bc, fiber, flag, bad_fibre, persistence.
    rng : numpy Generator
    """
    single = [observe_visit(clean, visit, entry["H"], rng) for visit in visits]
    flux, error, mask = (np.array(part) for part in zip(*single, strict=True))
    snr = [visit["snr"] for visit in visits]
    combined = combine(flux, error, mask, snr)
    cards = _cards(entry, visits, signal_to_noise(combined[0][0], combined[1][0]))
    if len(visits) > 1:
        parts = (flux, error, mask)
        combined = [np.concatenate(p) for p in zip(combined, parts, strict=True)]
    write(path, _hdus(combined, cards, _velocities(entry, visits)))


def _hdus(images, cards, velocities):
    """Yield the ten HDUs of an apStar file as parts for fitsbytes.write."""
    yield image(None, cards, primary=True)
    units = ("Flux (10^-17 erg/s/cm^2/Ang)", "Err (10^-17 erg/s/cm^2/Ang)")
    for array, unit in zip(images, (*units, "Pixel bitmask"), strict=True):
        yield image(array, [*WAVELENGTH_CARDS, ("BUNIT", unit)])
    shape = images[0].shape
    for unit in BLANK_HDUS:
        yield from blank_image("f4", shape, [*WAVELENGTH_CARDS, ("BUNIT", unit)])
    yield image(None)
    yield table(velocities)


def _cards(entry, visits, snr):
    """Return the entries of the primary header that say what was observed."""
    cards = [
        *WAVELENGTH_CARDS,
        ("DC-FLAG", 1),
        ("NWAVE", APOGEE_PIXELS, "Number of wavelengths in subsequent HDUs"),
        ("FIELD", entry["FIELD"].strip(), "APOGEE field name"),
        ("OBJID", entry["APOGEE_ID"].strip(), "APOGEE object name"),
        ("SNR", snr, "Median S/N per apStar pixel"),
        ("RA", entry["RA"], "right ascension, deg, J2000"),
        ("DEC", entry["DEC"], "declination, deg, J2000"),
        *((band, entry[band], f"2MASS {band} magnitude") for band in "JHK"),
        ("NVISITS", len(visits), "Number of visit spectra combined"),
        ("STARFLAG", _any(visits), "bitwise OR of individual visit starflags"),
        ("ANDFLAG", _all(visits), "bitwise AND of individual visit starflags"),
    ]
    cards += _velocity_cards(entry)
    for i, visit in enumerate(visits, start=1):
        cards.append(("COMMENT", f"VISIT {i} INFORMATION"))
        cards += _visit_cards(entry, visit, i)
    return cards + [("HISTORY", line) for line in HISTORY]


def _velocity_cards(entry):
    """Return the entries of the star's mean velocity."""
    keys = {"VHELIO": "VHELIO_AVG", "VSCATTER": "VSCATTER", "VERR": "VERR"}
    return [(key, float(entry[name])) for key, name in keys.items()]


def _visit_cards(entry, visit, i):
    """Return the entries of visit ``i``, counted from 1."""
    return [
        (f"SFILE{i}", _visit_file(entry, visit), f"Visit #{i} spectrum file"),
        (f"JD{i}", float(visit["jd"]), f"Julian date of visit {i}"),
        (f"FIBER{i}", int(visit["fiber"]), f"Fiber, visit {i}"),
        (f"BC{i}", float(visit["bc"]), f"Barycentric correction (km/s), visit {i}"),
        (f"VRAD{i}", float(visit["vhelio"] - visit["bc"])),
        (f"VHELIO{i}", float(visit["vhelio"]), f"Barycentric velocity, visit {i}"),
        (f"SNRVIS{i}", float(visit["snr"]), "Median S/N per apStar pixel"),
        (f"FLAG{i}", int(visit["flag"]), f"STARFLAG for visit {i}"),
    ]


def _visit_file(entry, visit):
    """Return the name of the file that a visit would have."""
    kind = "as" if entry["FILE"].startswith("as") else "ap"
    day = int(visit["jd"] - 2400000.5)
    plate = 1000 + entry["star"] % 9000
    return f"{kind}Visit-r12-{plate}-{day}-{visit['fiber']:03d}.fits"


def _velocities(entry, visits):
    """Return the table of radial velocities, one row per visit."""
    rows = np.zeros(len(visits), RV_DTYPE)
    for row, visit in zip(rows, visits, strict=True):
        row["filename"] = _visit_file(entry, visit)
        for name in ("jd", "snr", "vhelio", "bc"):
            row[name] = visit[name]
        row["vrel"] = visit["vhelio"] - visit["bc"]
    return rows


def _any(visits):
    """Return the bits that any visit's flag has."""
    return int(np.bitwise_or.reduce([int(visit["flag"]) for visit in visits]))


def _all(visits):
    """Return the bits that every visit's flag has."""
    return int(np.bitwise_and.reduce([int(visit["flag"]) for visit in visits]))
