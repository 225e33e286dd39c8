"""Stars that two made-up surveys have in common, and small networks for them."""

import numpy as np
from astropy.table import Table

from fastcannon.translate import Settings

INPUTS = ("teff_a", "logg_a", "fe_h_a")
OUTPUTS = ("teff_b", "logg_b")
SMALL = Settings(width=16, batch=32, rates=(3e-3, 5e-4), epochs=12)
NOISE = {"teff_a": 30.0, "logg_a": 0.05, "fe_h_a": 0.02, "teff_b": 20.0, "logg_b": 0.04}


def draw_stars(n, seed=0):
    """Columns of both surveys with errors, and the true values on scale B."""
    rng = np.random.default_rng(seed)
    teff = rng.uniform(4000, 6500, n)
    logg = 1.5 + 3 * rng.beta(2, 1.5, n)
    fe_h = rng.normal(-0.2, 0.3, n)
    bend = np.tanh((teff - 5200) / 300)
    true = {
        "teff_a": teff,
        "logg_a": logg,
        "fe_h_a": fe_h,
        "teff_b": teff + 60 * bend - 40 * fe_h,
        "logg_b": logg + 0.15 * bend * (logg - 3) + 0.05,
    }
    table = Table()
    for name, values in true.items():
        table[name] = values + NOISE[name] * rng.standard_normal(n)
        table[f"e_{name}"] = np.full(n, NOISE[name])
        table[name].unit = "K" if name.startswith("teff") else "dex"
    for name in OUTPUTS:
        table[f"true_{name}"] = true[name]
    return table
