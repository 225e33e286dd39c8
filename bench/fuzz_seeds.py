"""One small good file of every kind that is read, for bench.fuzz and tests."""

from pathlib import Path

import numpy as np
from astropy.table import Table

from fastcannon import CannonModel, jobs
from fastcannon.catalogue_files import write_partition
from fastcannon.normalise import Normaliser
from fastcannon.simulator import simulate
from fastcannon.spectra import SpectraFile
from fastcannon.spectrawriter import SpectraWriter, write_spectra
from fastcannon.translate import Settings, Translator

NAMES = ("teff", "logg")
INPUTS, OUTPUTS = ("teff_a", "logg_a"), ("teff_b", "logg_b")
_N, _P = 16, 12

CONFIG = """
[output]
folder = "run"

[surveys.apogee]
format = "apogee"
spectra = ["apogee/**/*.fits"]
catalogue = "allStar.fits"
visits = true
bad_pixels = ["BADPIX"]
error_floor = 0.01
[surveys.apogee.cuts]
snr = "> 80"
STARFLAG = { without = ["LOW_SNR"] }
[surveys.apogee.continuum]
order = 4

[surveys.mine]
format = "spectra"
spectra = ["a.fits"]
catalogue = "a.csv"
columns = { id = "obs", teff = "T" }

[pack]
stars_per_part = 256
[match]
by = "position"
radius = 1.5
[gaia]
table = "gaia.fits"
columns = { parallax = "plx" }
[labels]
names = ["teff", "logg", "alpha_fe"]
windows = "windows.ecsv"
[labels.censors]
alpha_fe = ["Mg", "Si"]
[model]
degree = 2
folds = 3
scatter = "median"
[translate]
networks = 2
"""
MEMBERS = """cluster,probability,dr3_source_id,survey_id
M 67,0.9,6000000000000000001,a
M 67,,,b
"""
LITERATURE = """name,kind,age,fe_h,e_fe_h,reference
M 67,open,4.0,0.0,0.01,"a, b"
M 92,globular,,-2.3,,
"""
ISOCHRONE = """# isochrones of CMD
# Zini MH logAge Mini logTe logg label
0.0152 0.0 9.6 0.8 3.70 4.5 1
0.0152 0.0 9.6 0.9 3.72 4.4 1
0.0152 0.0 9.6 1.0 3.65 2.4 3
0.0152 0.0 9.6 1.0 3.68 2.5 4
0.0152 0.0 9.6 1.0 3.50 0.5 9
"""
WINDOWS = """element,start,end,medium
Mg,5167.0,5168.0,air
Si,15888.0,15889.0,vacuum
"""
CATALOGUE = """sobject_id,star_id,teff,logg,fe_h,flag_sp,snr_c2_iraf,dr3_source_id
140310002101365,05505952+0759226,5000.0,3.0,0.1,0,40,6000000000000000001
140310002101366,,,2.0,0.2,1,50,
"""
TEXTS = {
    "config.toml": CONFIG,
    "members.csv": MEMBERS,
    "literature.csv": LITERATURE,
    "isochrone.dat": ISOCHRONE,
    "windows.csv": WINDOWS,
    "catalogue.csv": CATALOGUE,
}


def stars(n=_N, p=_P, seed=0):
    """Labels (N, 2), flux, ivar (N, P) and wavelengths (P,) of a linear model."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.5, 0.5, (n, 2))
    labels = np.array([5000.0, 3.0]) + x * np.array([1000.0, 2.0])
    flux = 1 + x @ rng.normal(0, 0.1, (2, p)) + rng.normal(0, 0.002, (n, p))
    flux = flux.astype(np.float32)
    return labels, flux, np.full((n, p), 2.5e5, np.float32), np.linspace(5e3, 5.1e3, p)


def write_texts(folder):
    """Write the text files."""
    for name, text in TEXTS.items():
        (folder / name).write_text(text)


def write_fits(folder):
    """Write model, spectra, labels and a catalogue partition: a second."""
    labels, flux, ivar, grid = stars()
    model = CannonModel(NAMES, degree=1, censors={"logg": np.arange(_P) < 3})
    model.train(labels, flux, ivar, grid)
    model.normaliser = Normaliser(grid, np.arange(_P) % 2 == 0, [(5e3, 5.1e3)], 2)
    model.write(folder / "model.fits")
    table = Table(labels, names=NAMES)
    table["id"] = [f"star {i}" for i in range(_N)]
    table["teff"].unit = "K"
    write_spectra(folder / "stars.fits", flux, ivar, grid, table, normalised=True)
    with SpectraFile(folder / "stars.fits") as spectra:
        jobs.infer(model, spectra, folder / "labels.fits", starts=2)
    table["star_id"], table["visit"] = table["id"], np.arange(_N) % 3
    facts = {"SURVEY": "apogee", "MEDIUM": "vacuum", "PART": 0, "PARTS": 1}
    writer = SpectraWriter(folder / "part-00000.fits", grid, True, facts=facts)
    with writer:
        writer.append(flux, ivar, table)
        writer.refuse([("a.fits", "it is cut short")])
    table["teff"].unit = None
    write_partition(folder / "part.parquet", table, {"CASE": "a-on-b"})


def write_translator(folder):
    """Write a translator of the smallest networks: some seconds, needs JAX."""
    labels = stars(n=300)[0]
    table = Table(np.hstack([labels, labels * 1.01]), names=(*INPUTS, *OUTPUTS))
    small = Settings(width=4, batch=64, rates=(3e-3, 5e-4), epochs=2)
    translator = Translator(INPUTS, OUTPUTS, ensemble=2, settings=small)
    translator.train(table).write(folder / "translator.fits")


def write_surveys(folder):
    """Write files of APOGEE and GALAH of three simulated stars: some seconds."""
    simulate(folder / "surveys", 3, overlap=3, seed=1, processes=1)
    home = Path(folder) / "surveys"
    spectra = sorted((home / "galah/spectra").rglob("*.fits"))[:4]
    for path in spectra:
        path.rename(folder / path.name)
    star = min(
        (home / "apogee/spectra").rglob("*.fits"), key=lambda p: p.stat().st_size
    )
    star.rename(folder / star.name)
    (home / "apogee/allStar-r12-l33.fits").rename(folder / "allStar.fits")
    (home / "galah/GALAH_DR3_main_allstar_v2.fits").rename(folder / "galah.fits")
