"""Two catalogues of toy clusters: the second scale is 0.1 dex above the first."""

import numpy as np
from astropy.table import Table

from fastcannon.clusters import cluster_stars

NAMES = ("teff", "logg", "fe_h", "alpha_fe")
SURVEYS = {"north": 1, "south": 0}
SIZES = {"Old": 30, "Young": 20, "Far": 8}
FE_H = {"Old": 0.0, "Young": 0.1, "Far": -1.0}
FIRST_ID = 2**53 + 1  # neighbours that are one number as floats


def members_table():
    """Return the members of all clusters, those of high probability first."""
    cluster = np.repeat(list(SIZES), list(SIZES.values()))
    table = Table({"cluster": cluster, "probability": np.full(len(cluster), 0.9)})
    table["dr3_source_id"] = FIRST_ID + np.arange(len(cluster))
    return table


def catalogues(scales=("north", "south"), seed=0):
    """Return catalogues: each member with spectra of both surveys, then 50 others."""
    rng = np.random.default_rng(seed)
    table = members_table()
    n = len(table)
    ids = np.concatenate([table["dr3_source_id"]] * 2 + [np.arange(1, 51)])
    fe_h = np.array([FE_H[name] for name in table["cluster"]])
    fe_h = np.concatenate([fe_h, fe_h, np.zeros(50)])
    total = len(ids)
    shared = {
        "survey_id": np.array([f"star-{k}" for k in range(total)]),
        "dr2_source_id": np.zeros(total, np.int64),
        "dr3_source_id": ids,
        "flag_id": np.repeat([1, 0, 0], [n, n, 50]).astype(np.int16),
        "snr": np.full(total, 100.0, np.float32),
        "teff": rng.uniform(4500, 6500, total).astype(np.float32),
        "logg": rng.uniform(2.0, 4.6, total).astype(np.float32),
        "feh": (fe_h + 0.05 * rng.normal(size=total)).astype(np.float32),
        "alphafe": (0.02 * rng.normal(size=total)).astype(np.float32),
    }
    for name in ("Cannon_dist", "spectra", "sp_aspcap", "survey", "snr", "fastcannon"):
        shared[f"flag_{name}"] = np.zeros(total, np.int64)
    found = {}
    for k, scale in enumerate(scales):
        own = {name: values.copy() for name, values in shared.items()}
        for label in ("teff", "logg", "feh", "alphafe"):
            own[f"{label}Cann"] = shared[label] + np.float32(0.1 * k)
            own[f"e_{label}Cann"] = np.full(total, 0.01, np.float32)
        found[scale] = own
    return found


def literature():
    """Return what is known of the clusters; of Far only kind and metallicity."""
    return Table(
        {
            "cluster": ["Young", "Far", "Old"],
            "kind": ["open", "Globular", "open"],
            "reference": ["", "", "a paper"],
            "age": [0.1, np.nan, 4.0],
            "fe_h": [0.1, -1.0, 0.0],
            "e_fe_h": [0.02, np.nan, 0.03],
            "alpha_fe": [np.nan, 0.3, 0.0],
            "e_alpha_fe": [np.nan, np.nan, np.nan],
        }
    )


def stars(**options):
    """Return the table of `cluster_stars` of both catalogues."""
    return cluster_stars(catalogues(**options), members_table(), SURVEYS, NAMES)
