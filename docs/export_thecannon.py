"""Hand a model of TheCannon over to fastcannon as plain arrays.

Runs in the environment that has TheCannon, and needs nothing of fastcannon. TheCannon
has no file of its own for models: call this where the model was trained,

    from export_thecannon import export

    model.fit(dataset)
    export(model, dataset, "model.npz")
"""

import numpy as np


def arrays(model, dataset):
    """The arguments of fastcannon's ``CannonModel.from_coefficients``, by name.

    The terms are TheCannon's: 1; linear; the upper triangle of products, row by row.
    """
    if model.coeffs is None:
        raise ValueError("the model is not trained: call its fit()")
    scatters = np.array(model.scatters, dtype=float)
    names = [str(name) for name in dataset.get_plotting_labels()]
    return {
        "label_names": np.array(names),
        "theta": np.array(model.coeffs, dtype=float),
        "s2": scatters**2,  # a variance
        "fiducials": np.array(model.pivots, dtype=float),
        "scales": np.array(model.scales, dtype=float),
        "degree": 2,
        "wavelength": np.array(dataset.wl, dtype=float),
        "training_labels": np.array(dataset.tr_label, dtype=float),
    }


def export(model, dataset, path):
    """Write the arrays of a trained model to an NPZ file."""
    np.savez(path, **arrays(model, dataset))
