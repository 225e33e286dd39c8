"""Line lists of the simulator: made up at random, or standing in real windows.

The alpha elements of the surveys' lists stand where the surveys measure them
(the windows that censor the label); every other line is drawn at random with a
fixed seed and is no real one, except those of hydrogen.
"""

import numpy as np

from .synthesis import LIGHT_SPEED

# Name, share of the lines, atomic mass, ionisation potential (eV), alpha element.
ELEMENTS = (
    ("Fe", 0.50, 55.85, 7.90, False),
    ("Ti", 0.13, 47.87, 6.83, True),
    ("Ni", 0.10, 58.69, 7.64, False),
    ("Cr", 0.09, 52.00, 6.77, False),
    ("Ca", 0.07, 40.08, 6.11, True),
    ("Si", 0.06, 28.09, 8.15, True),
    ("Mg", 0.05, 24.31, 7.65, True),
)
NAMES = tuple(element[0] for element in ELEMENTS)

LINE_DTYPE = [
    ("wavelength", "f8"),  # Angstrom
    ("element", "U2"),
    ("ionised", "?"),  # line of the singly ionised atom
    ("excitation", "f8"),  # of the lower level, eV
    ("strength", "f8"),  # log10 of the optical depth at line centre in the Sun
    ("damping", "f8"),  # Voigt parameter a in the Sun
    ("mass", "f8"),  # atomic mass units
    ("ionisation", "f8"),  # eV
    ("alpha", "?"),  # follows [alpha/Fe], that of magnesium [Mg/Fe]
]

# Of lines in windows: lower level (eV), near that of the real lines.
WINDOW_EXCITATION = {"Si": 5.6, "Mg": 5.4, "Ti": 1.6, "Ca": 3.2}
# Alpha elements have lines outside the windows too, which no censor lets in.
OUTSIDE_SHARES = (0.64, 0.02, 0.15, 0.15, 0.01, 0.02, 0.01)

HYDROGEN_LIMIT = 109677.58  # of the series, cm^-1
BALMER_AIR = (6562.79, 4861.35)  # H-alpha, H-beta
BRACKETT_UPPER = range(11, 21)  # upper levels of the lines in the H band


def draw_lines(wavelength, spacing=8, seed=1):
    """Draw a line list for a grid of wavelengths.

    Parameters
    ----------
    wavelength : (P,) array, Angstrom
    spacing : float
        Mean distance of neighbouring lines in pixels.
    seed : int

    Returns
    -------
    (L,) structured array of LINE_DTYPE
    """
    rng = np.random.default_rng(seed)
    n_lines = int(len(wavelength) / spacing) + 1
    kind = rng.choice(len(ELEMENTS), n_lines, p=[element[1] for element in ELEMENTS])
    centres = np.sort(rng.uniform(wavelength[0], wavelength[-1], n_lines))
    lines = _lines_of(kind, centres)
    lines["ionised"] = rng.random(n_lines) < 0.15
    lines["excitation"] = rng.uniform(0.0, 5.0, n_lines)
    lines["strength"] = np.minimum(-1.2 + rng.exponential(0.9, n_lines), 2.5)
    lines["damping"] = 0.03 * 10.0 ** rng.normal(0.0, 0.2, n_lines)
    return lines


def _lines_of(kind, centres):
    """Return lines of elements ``kind`` (indices) at ``centres`` (L,) in Angstrom."""
    _, _, masses, potentials, alphas = zip(*ELEMENTS, strict=True)
    lines = np.zeros(len(centres), LINE_DTYPE)
    lines["wavelength"] = centres
    lines["element"] = np.array(NAMES)[kind]
    lines["mass"] = np.array(masses)[kind]
    lines["ionisation"] = np.array(potentials)[kind]
    lines["alpha"] = np.array(alphas)[kind]
    return lines


def survey_lines(windows, regions, settings, seed):
    """Return the lines of a survey: alpha elements in windows, others anywhere.

    Parameters
    ----------
    windows : table of element, start, end (Angstrom)
        One line of the element is put at the centre of each.
    regions : list of (float, float)
        Start and end of the detectors or arms, Angstrom, in the same medium.
    settings : mapping
        spacing (km/s between lines at random), their excitation (low, high; eV),
        ionised (share) and strength (least, scale and most of the exponential
        distribution of log10 of the solar depth), and window_strength (mean and
        standard deviation of the same).
    seed : int

    Returns
    -------
    (L,) structured array of LINE_DTYPE, by wavelength
    """
    rng = np.random.default_rng(seed)
    inside = _window_lines(windows, settings, rng)
    outside = [_random_lines(*region, settings, rng) for region in regions]
    lines = np.concatenate([inside, *outside])
    return lines[np.argsort(lines["wavelength"], kind="stable")]


def _window_lines(windows, settings, rng):
    """Return one line at the centre of each window."""
    kind = np.array([NAMES.index(str(name)) for name in windows["element"]])
    centres = 0.5 * (np.asarray(windows["start"]) + np.asarray(windows["end"]))
    lines = _lines_of(kind, centres)
    level = np.array([WINDOW_EXCITATION[name] for name in lines["element"]])
    size = len(lines)
    lines["excitation"] = level + rng.uniform(-0.5, 0.5, size)
    lines["ionised"] = (lines["element"] == "Ti") & (rng.random(size) < 0.3)
    lines["strength"] = rng.normal(*settings["window_strength"], size)
    lines["damping"] = 0.03 * 10.0 ** rng.normal(0.0, 0.2, size)
    return lines


def _random_lines(start, end, settings, rng):
    """Return lines at random between two wavelengths (Angstrom)."""
    size = int(LIGHT_SPEED * np.log(end / start) / settings["spacing"])
    kind = rng.choice(len(ELEMENTS), size, p=OUTSIDE_SHARES)
    lines = _lines_of(kind, rng.uniform(start, end, size))
    least, scale, most = settings["strength"]
    lines["ionised"] = rng.random(size) < settings["ionised"]
    lines["excitation"] = rng.uniform(*settings["excitation"], size)
    lines["strength"] = np.minimum(least + rng.exponential(scale, size), most)
    lines["damping"] = 0.03 * 10.0 ** rng.normal(0.0, 0.2, size)
    return lines


def brackett_lines():
    """Return the vacuum wavelengths (Angstrom) of hydrogen in the H band."""
    upper = np.array(BRACKETT_UPPER)
    return 1e8 / (HYDROGEN_LIMIT * (1.0 / 16.0 - 1.0 / upper**2))
