"""Tables of labels that are written block by block keep the rows of every block."""

import numpy as np
from toy import NAMES, toy

from fastcannon import CannonModel, SpectraFile, write_spectra
from fastcannon.jobs import infer
from fastcannon.labelfiles import read_columns


def test_blocks_whose_ids_differ_in_length(tmp_path):
    stars = toy(n=60)
    wavelength = np.linspace(5000, 5100, 80)
    ids = [f"star-{10 ** (i % 30)}" for i in range(60)]  # the longest not in block one
    path = tmp_path / "stars.fits"
    write_spectra(path, *stars.spectra, wavelength, {"id": ids}, normalised=True)
    model = CannonModel(NAMES).train(*stars.training, wavelength)
    with SpectraFile(path) as spectra:
        assert {spectra.ids(i, i + 7).dtype for i in range(0, 56, 7)} == {
            spectra.ids(0, 60).dtype
        }
        infer(model, spectra, tmp_path / "labels.fits", block=7)
    found = read_columns([tmp_path / "labels.fits"], ["id", "teff"])
    assert list(np.char.decode(found["id"])) == ids
    alone = model.infer(*stars.spectra).labels[:, 0]
    np.testing.assert_allclose(found["teff"], alone, rtol=1e-9)  # 2e-13 measured
