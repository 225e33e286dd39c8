"""Small catalogues, spectra, pictures and sections that tests of the page show."""

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

from fastcannon.report.glance import Fact, Scatter, Summary
from fastcannon.report.page import Figure, PageTable, Section
from fastcannon.report.samples import ViewerStar

NAMES = ("teff", "logg", "alpha_fe")
SURVEYS = ("north", "south")
HOSTILE = '</script><img src="x" onerror="alert(1)">{{ 7 * 7 }}'


def catalogue(n_stars, seed=3):
    """Return the columns of a catalogue as `RunData.catalogue` gives them."""
    rng = np.random.default_rng(seed)
    survey = (np.arange(n_stars) % 2).astype(np.int8)
    ids = np.array([f"star {number // 2}" for number in range(n_stars)], dtype="S64")
    columns = {"survey_id": ids, "survey": survey}
    for name, low, high in (("teff", 3800, 7000), ("logg", 0, 5), ("alphafe", -0.1, 1)):
        true = rng.uniform(low, high, n_stars).astype(np.float32)
        columns[name] = true
        columns[f"{name}Cann"] = true + 0.02 * (high - low) * rng.normal(size=n_stars)
        columns[f"e_{name}"] = columns[f"e_{name}Cann"] = np.full(n_stars, 0.01)
    for name in ("r_chi_sq", "snr", "Cannon_distance"):
        columns[name] = rng.uniform(1, 100, n_stars).astype(np.float32)
    for name in ("flag_Cannon_dist", "flag_survey", "flag_snr", "flag_spectra"):
        columns[name] = np.zeros(n_stars, dtype=np.int16)
    columns["flag_sp_aspcap"] = np.zeros(n_stars, dtype=np.int64)
    columns["flag_fastcannon"] = np.zeros(n_stars, dtype=np.int32)
    return columns


def spectra():
    """Return stars of the viewer: three usual ones and a bad fit of each survey."""
    rng = np.random.default_rng(4)
    found = []
    for survey, start in zip(SURVEYS, (5000.0, 15000.0), strict=True):
        # Two arms of 200 pixels.
        wavelength = start + np.r_[np.arange(200), 1000 + np.arange(200)] * 0.5
        for number in range(4):
            model = 1 - 0.5 * rng.random(400)
            observed = (model + 0.02 * rng.normal(size=400)).astype(np.float32)
            observed[10] = np.nan
            title = f"{survey}: star {number} of the viewer"
            labels = {"teff": 4000.0 + number, "logg": np.nan}
            found.append(
                ViewerStar(
                    *(str(number), survey, title, wavelength),
                    *(observed.round(4), model.astype(np.float32).round(4)),
                    *(labels, 1.5 + number, ["OUTSIDE_HULL"], number == 3),
                )
            )
    return found


WINDOWS = {"north": {"Mg": np.array([[5010.0, 5020.0]])}}


def picture(path):
    """Write a picture that is larger than the page wants it; return its path."""
    figure = MatplotlibFigure(figsize=(6, 4), dpi=150)
    noise = np.random.default_rng(5).random((400, 600))
    figure.subplots().imshow(noise, cmap="viridis")
    figure.savefig(path)
    return path


def sections(folder):
    """Return one section with all that a page can show."""
    table = PageTable(
        title="Table 1",
        head=["Label", "mean", "scatter"],
        rows=[["teff", "-3.0 +- 1.0", "84"], ["logg", "12.1", ""], [HOSTILE, "9", "2"]],
        sort=[["teff", -3.0, 84.0], ["logg", 12.1, np.nan], ["x", 9.0, None]],
        caption="Differences.",
        files=[folder / "tables" / "table 1.csv"],
    )
    plain = PageTable("Counts", ["name", "n"], [["a", "1,200"], ["b", "900"]])
    figure = Figure(
        *(picture(folder / "noise.png"), folder / "figures" / "noise.pdf"),
        caption=f"What to see: {HOSTILE}",
        alt='Noise, "evenly" spread',
    )
    text = "First paragraph.\n\nSecond one."
    notes = ["No clusters: no table of members was given."]
    return [Section("Noise & more", "noise", text, [figure], [table, plain], notes)]


def summary():
    """Return numbers at a glance."""
    after = [("north-scaled", "20", 0.238), ("south-scaled", "unknown", None)]
    return Summary(
        title="NORTH and SOUTH",
        text="Two surveys.",
        facts=[Fact("1,234", "stars of NORTH")],
        scatter=[Scatter("Teff", "K", "84", after)],
        n_common=1988,
        flags=[("flag_snr", "low", ["1,000", "-"])],
        columns=["NORTH\nnorth-scaled", "SOUTH\nnorth-scaled"],
        missing=[f"models/{HOSTILE}: not there yet"],
    )
