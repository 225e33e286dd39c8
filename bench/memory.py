"""Peak memory and time to the first result, in processes of their own (Linux)."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fastcannon.spectrawriter import SpectraWriter

from .results import at_most

GIB = 2.0**30

TRAIN = """
import sys
import numpy as np
from fastcannon import CannonModel
flux = np.load(sys.argv[1] + "/flux.npy")
ivar = np.load(sys.argv[1] + "/ivar.npy")
labels = np.load(sys.argv[1] + "/labels.npy")
CannonModel([f"label_{k}" for k in range(labels.shape[1])]).train(labels, flux, ivar)
print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])
"""

INFER = """
import sys
from fastcannon.cli import main
code = main(["infer", sys.argv[1] + "/model.fits", sys.argv[1] + "/" + sys.argv[2],
             "-o", sys.argv[1] + "/labels.fits", "--quiet"])
assert code == 0
print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])
"""


def bench_memory(survey):
    """Training from arrays; inference from files of two lengths; the first result."""
    with tempfile.TemporaryDirectory() as folder:
        _save(survey, Path(folder))
        peak = _peak(TRAIN, folder)
        inputs = survey.flux.nbytes + survey.ivar.nbytes
        rows = [
            at_most(
                "training: memory beyond its inputs", peak - inputs / GIB, 1.5, "GiB"
            )
        ]
        for n_copies in (1, 5):
            name = f"spectra_{n_copies}.fits"
            _write_spectra(survey, Path(folder) / name, n_copies)
            peak = _peak(INFER, folder, name)
            n_spectra = n_copies * len(survey.flux)
            rows.append(
                at_most(f"inference of {n_spectra} spectra from file", peak, 1.0, "GiB")
            )
        _write_spectra(survey, Path(folder) / "one.fits", 1, slice(0, 1))
        times = []
        for _ in range(3):
            start = time.perf_counter()
            _peak(INFER, folder, "one.fits")
            times.append(time.perf_counter() - start)
        rows.append(
            at_most(
                "`fastcannon infer` of one spectrum, start to end", times[-1], 3, "s"
            )
        )
    return rows


def _save(survey, folder):
    np.save(folder / "flux.npy", survey.flux)
    np.save(folder / "ivar.npy", survey.ivar)
    np.save(folder / "labels.npy", survey.labels)
    survey.model.write(folder / "model.fits")


def _write_spectra(survey, path, n_copies, rows=slice(None)):
    flux, ivar = survey.flux[rows], survey.ivar[rows]
    wavelength = 15000.0 + np.arange(flux.shape[1])
    with SpectraWriter(path, wavelength, normalised=True) as writer:
        for copy in range(n_copies):
            ids = [f"{copy}-{i}" for i in range(len(flux))]
            writer.append(flux, ivar, {"id": ids})


def _peak(program, *arguments):
    """Largest resident memory of a program in GiB."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) * 1024 / GIB
