"""Run the peers in environments of their own, made where they are missing."""

import os
import subprocess
import tempfile
import venv
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
NAMES = {"annieslasso": "AnniesLasso", "thecannon": "TheCannon"}


def peer_python(peer):
    """Return the Python of a peer's environment, installing it on first use."""
    folder = HERE.parent / ".venv-peers" / peer
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = HERE / f"peers-requirements-{peer}.txt"
        pip = [python, "-m", "pip", "install", "--quiet", "-r", wanted]
        subprocess.run(pip, check=True)
        done.touch()
    return python


def run_peer(peer, model, train_labels, flux, ivar):
    """Infer labels by a peer from the coefficients of a model.

    Returns
    -------
    labels : ndarray, (S, K)
    seconds : float
        For all spectra, model set-up excluded.
    version : str
        Name and version of the peer.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(
            given,
            label_names=np.array(model.label_names),
            theta=model.theta,
            s2=model.s2,
            fiducials=model.fiducials,
            scales=model.scales,
            train_labels=train_labels,
            flux=flux,
            ivar=ivar,
            wavelength=np.arange(flux.shape[1], dtype=float),
        )
        command = [peer_python(peer), HERE / "peers.py", peer, given, found]
        subprocess.run(command, check=True, capture_output=True)
        with np.load(found) as answer:
            return (
                answer["labels"],
                float(answer["seconds"]),
                f"{NAMES[peer]} {answer['version']}",
            )
