"""Hand a model of AnniesLasso over to fastcannon as plain arrays.

Runs in the environment that has AnniesLasso, and needs nothing of fastcannon:

    python export_annieslasso.py trained.model model.npz

or, with a model in memory, ``export(model, "model.npz")``. AnniesLasso's own files are
pickles: they run whatever code is in them, so that you should know who made yours.
"""

import sys

import numpy as np


def exponents(terms, label_count):
    """Powers of the labels in each term, (T, K); the first term is the constant."""
    table = np.zeros((1 + len(terms), label_count))
    for row, term in zip(table[1:], terms):  # noqa: B905  Python 2 has it, too
        for label, power in term:
            row[label] += power
    if (table != table.astype(int)).any():
        raise ValueError("a term has a power that is not a whole number")
    return table.astype(int)


def arrays(model):
    """The arguments of fastcannon's ``CannonModel.from_coefficients``, by name."""
    if model.theta is None or model.s2 is None:
        raise ValueError(
            "the model is not trained: train it, or write and read it anew"
        )
    vectorizer = model.vectorizer
    names = [str(name) for name in vectorizer.label_names]
    theta = np.array(model.theta, dtype=float)
    s2 = np.array(model.s2, dtype=float)
    unknown = ~(np.isfinite(theta).all(axis=1) & np.isfinite(s2))
    theta[unknown] = 0.0
    s2[unknown] = np.inf  # no weight at all
    found = {
        "label_names": np.array(names),
        "theta": theta,
        "s2": s2,
        "fiducials": np.array(model._fiducials, dtype=float),
        "scales": np.array(model._scales, dtype=float),
        "terms": exponents(vectorizer.terms, len(names)),
        "training_labels": np.array(model.training_set_labels, dtype=float),
    }
    if model.dispersion is not None:
        found["wavelength"] = np.array(model.dispersion, dtype=float)
    return found


def export(model, path):
    """Write the arrays of a trained model to an NPZ file."""
    np.savez(path, **arrays(model))


if __name__ == "__main__":
    from thecannon import CannonModel

    export(CannonModel.read(sys.argv[1]), sys.argv[2])
