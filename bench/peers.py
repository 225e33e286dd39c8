"""Run a published Cannon (AnniesLasso or TheCannon) as it ships, and time it.

Runs inside the peer's own environment and needs nothing of fastcannon: the two sides
exchange arrays in NPZ files. With Python 3.9 to 3.13, PEER annieslasso or thecannon:

    python -m venv ENV
    ENV/bin/python -m pip install -r bench/peers-requirements-PEER.txt
    ENV/bin/python bench/peers.py PEER INPUT.npz OUTPUT.npz           # infer labels
    ENV/bin/python bench/peers.py PEER INPUT.npz OUTPUT.npz --train   # fit coefficients

N stars, S spectra, P pixels, K labels; T terms of degree 2 in the order 1; linear;
upper triangle of products row by row, of labels scaled as (label - fiducial) / scale.
INPUT: label_names (K,), train_labels (N, K), wavelength (P,). To infer, nothing is
trained, the model is given: theta (P, T), s2 (P,), fiducials (K,), scales (K,), with
flux (S, P), ivar (S, P). To train: train_flux (N, P), train_ivar (N, P).
OUTPUT: seconds, version, environment, and labels (S, K), or theta (P, T), s2 (P,),
fiducials (K,), scales (K,) and seconds_per_pixel.
"""

import argparse
import contextlib
import importlib.metadata
import io
import platform
import time
from functools import partial

import numpy as np

# TheCannon scales labels by a quarter of the range that AnniesLasso and our files use.
# It starts every fit at 1 in its own units: other units would move that start.
THECANNON_UNITS = 4.0


def clock(warm_up, run):
    """Call `warm_up()`; return what `run()` then returns and the seconds it took."""
    warm_up()
    start = time.perf_counter()
    answer = run()
    return answer, time.perf_counter() - start


def annieslasso_model(data, pixels, flux=None, ivar=None):
    """AnniesLasso's model of P `pixels`; flux, ivar (N, P) if it is to be trained."""
    from thecannon import CannonModel
    from thecannon.censoring import Censors
    from thecannon.vectorizer import PolynomialVectorizer

    vectorizer = PolynomialVectorizer(data["label_names"].tolist(), order=2)
    # Without spectra the model cannot make this empty mapping by itself.
    censors = Censors(vectorizer.label_names, pixels)
    return CannonModel(data["train_labels"], flux, ivar, vectorizer, censors=censors)


def infer_annieslasso(data):
    """Labels (S, K) by AnniesLasso's `test`, and the seconds it took."""
    model = annieslasso_model(data, pixels=len(data["theta"]))
    # What its own `read` does: coefficients have no public setter.
    model._theta, model._s2 = data["theta"], data["s2"]
    model._fiducials, model._scales = data["fiducials"], data["scales"]

    flux, ivar = data["flux"], data["ivar"]
    warm_up = partial(model.test, flux[:1], ivar[:1])
    (labels, _, _), seconds = clock(warm_up, partial(model.test, flux, ivar))
    return {"labels": labels, "seconds": seconds}


def train_annieslasso(data):
    """Coefficients by AnniesLasso's `train`, and the seconds it took."""
    flux, ivar = data["train_flux"], data["train_ivar"]
    first = annieslasso_model(data, 1, flux[:, :1], ivar[:, :1])
    model = annieslasso_model(data, flux.shape[1], flux, ivar)
    (theta, s2, _), seconds = clock(first.train, model.train)
    scaling = {"fiducials": model._fiducials, "scales": model._scales}
    return {"theta": theta, "s2": s2, **scaling, "seconds": seconds}


def thecannon_dataset(data, flux, ivar):
    """TheCannon's data set with flux, ivar (S, P) as training and as test spectra."""
    from TheCannon.dataset import Dataset

    stars = np.arange(len(flux)), flux, ivar
    pixels = data["wavelength"][: flux.shape[1]]
    dataset = Dataset(pixels, *stars, data["train_labels"], *stars)
    dataset.set_label_names(data["label_names"])
    return dataset


def thecannon_powers(label_count):
    """Factor of each term between TheCannon's units and ours, (T,)."""
    products = label_count * (label_count + 1) // 2
    return THECANNON_UNITS ** np.repeat([0, 1, 2], [1, label_count, products])


def infer_thecannon(data):
    """Labels (S, K) by TheCannon's `infer_labels`, and the seconds it took."""
    from TheCannon.model import CannonModel

    model = CannonModel(order=2, useErrors=False)
    model.coeffs = data["theta"] / thecannon_powers(len(data["label_names"]))
    model.scatters = np.sqrt(data["s2"])
    model.pivots = data["fiducials"]
    model.scales = data["scales"] / THECANNON_UNITS

    flux, ivar = data["flux"], data["ivar"]
    first = thecannon_dataset(data, flux[:1], ivar[:1])
    dataset = thecannon_dataset(data, flux, ivar)
    infer = model.infer_labels
    _, seconds = clock(partial(infer, first), partial(infer, dataset))
    return {"labels": dataset.test_label_vals, "seconds": seconds}


def train_thecannon(data):
    """Coefficients by TheCannon's `train`, and the seconds it took."""
    from TheCannon.model import CannonModel

    flux, ivar = data["train_flux"], data["train_ivar"]
    first = thecannon_dataset(data, flux[:, :1], ivar[:, :1])
    dataset = thecannon_dataset(data, flux, ivar)
    model = CannonModel(order=2, useErrors=False)
    _, seconds = clock(partial(model.train, first), partial(model.train, dataset))
    theta = model.coeffs * thecannon_powers(len(data["label_names"]))
    scaling = {"fiducials": model.pivots, "scales": model.scales * THECANNON_UNITS}
    return {"theta": theta, "s2": model.scatters**2, **scaling, "seconds": seconds}


PEERS = {
    "annieslasso": (infer_annieslasso, train_annieslasso),
    "thecannon": (infer_thecannon, train_thecannon),
}


def main():
    """Read INPUT, run the peer, write OUTPUT."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("input", help="NPZ file of the model and spectra")
    parser.add_argument("output", help="NPZ file to write")
    parser.add_argument("--train", action="store_true", help="train, do not infer")
    args = parser.parse_args()

    with np.load(args.input, allow_pickle=False) as file:
        data = dict(file)
    # In double precision, which the peers compute in: no conversions on their clock.
    for name in data.keys() - {"label_names"}:
        data[name] = data[name].astype(float)

    infer, train = PEERS[args.peer]
    with contextlib.redirect_stdout(io.StringIO()):  # progress bars
        result = train(data) if args.train else infer(data)
    if args.train:
        result["seconds_per_pixel"] = result["seconds"] / len(result["s2"])
    version = importlib.metadata.version
    python, numpy, scipy = platform.python_version(), version("numpy"), version("scipy")
    result["environment"] = f"Python {python}, NumPy {numpy}, SciPy {scipy}"
    np.savez(args.output, **result, version=version(args.peer))


if __name__ == "__main__":
    main()
