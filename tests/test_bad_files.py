"""Files that are damaged, or made to harm: refused in words, within bounded memory."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from damage import hdu_places, stamped
from toy import NAMES, toy

from fastcannon import (
    CannonModel,
    FileFormatError,
    InputError,
    fitsfiles,
    fitsheaders,
    jobs,
)
from fastcannon.describe import describe
from fastcannon.fitsimages import read_hdus
from fastcannon.normalise import Normaliser
from fastcannon.spectra import SpectraFile
from fastcannon.spectrawriter import write_spectra

N, P = 40, 20


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Folder of a good model and a good spectra file; not to be changed."""
    folder = tmp_path_factory.mktemp("good")
    stars = toy(n=N, p=P, seed=1)
    grid = np.linspace(5000.0, 5100.0, P)
    model = CannonModel(NAMES, censors={"fe_h": np.arange(P) < 3})
    model.train(*stars.training, wavelength=grid)
    pixels = np.arange(P) % 2 == 0
    model.normaliser = Normaliser(grid, pixels, [(5000.0, 5100.0)], 2)
    model.write(folder / "model.fits")
    table = Table(stars.labels, names=NAMES)
    table["id"] = [f"star {i}" for i in range(N)]
    write_spectra(folder / "stars.fits", *stars.spectra, grid, table, normalised=True)
    return folder


@pytest.fixture
def model_file(good, tmp_path):
    return shadow(good / "model.fits", tmp_path)


@pytest.fixture
def spectra_file(good, tmp_path):
    return shadow(good / "stars.fits", tmp_path)


def shadow(path, folder):
    """Return a copy that a test may spoil."""
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    return copy


def rewrite(path, change):
    """Change a file's HDUs and give it checksums again, as one who means harm would."""
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            assert hdu.data is None or len(hdu.data)  # read before it is replaced
        change(hdus)
        hdus[0].header[fitsheaders.HDU_COUNT] = len(hdus)
        hdus.writeto(path, overwrite=True)
    stamp(path)


def stamp(path):
    """Write right checksums, whatever the headers say."""
    path.write_bytes(stamped(path.read_bytes()))


def replace_card(path, old, new, after=b""):
    """Replace the first bytes of a card, and make the checksums right again."""
    content = path.read_bytes()
    place = content.index(old, content.index(after))
    new = new.ljust(len(old))
    path.write_bytes(content[:place] + new + content[place + len(new) :])
    stamp(path)


def flip(path, place, bit=0):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def place_of(path, name):
    return next(s.data for s in fitsheaders.scan(path) if s.name == name)


def peak_of(call):
    """Return the most memory (bytes) that a call held."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def image(name, values):
    """A change that puts other values into an image, under the same name."""

    def change(hdus):
        index = hdus.index_of(name)
        found = values(hdus[name].data) if callable(values) else values
        hdus[index] = fits.ImageHDU(np.asarray(found), name=name)
        fitsheaders.reserve_checksum(hdus[index].header)

    return change


def column(name, key, value):
    def change(hdus):
        hdus[name].data[key][0] = value

    return change


def test_a_rewritten_model_is_still_read(model_file):
    rewrite(model_file, lambda hdus: None)
    assert CannonModel.read(model_file).label_names == NAMES


@pytest.mark.parametrize(
    "change",
    [
        column("LABELS", "scale", 0.0),
        column("LABELS", "scale", -1.0),
        column("LABELS", "fiducial", np.nan),
        column("LABELS", "name", "logg"),
        column("LABELS", "name", ""),
        image("THETA", lambda a: a[:, :-1]),
        image("THETA", lambda a: a[:-1]),
        image("THETA", lambda a: a[None]),
        image("THETA", lambda a: a * np.nan),
        image("THETA", lambda a: a * 1e200),
        image("S2", lambda a: -a),
        image("S2", lambda a: a * np.nan),
        image("S2", lambda a: a[1:]),
        image("STATUS", lambda a: a[1:]),
        image("STATUS", lambda a: a + 0.5),
        image("STARTS", lambda a: a[:, :1]),
        image("STARTS", lambda a: a[:0]),
        image("STARTS", lambda a: a + np.inf),
        image("STARTS", lambda a: np.tile(a, (20, 1))),
        image("HULL", lambda a: a[:1]),
        image("HULL", lambda a: a[:, :0]),
        image("HULL", lambda a: a + np.nan),
        image("WAVE", 1.0 + np.arange(3.0)),
        image("WAVE", lambda a: a[::-1]),
        image("WAVE", lambda a: a * np.nan),
        image("CENSOR", lambda a: a[:, :1]),
        image("CENSOR", lambda a: a[:-1]),
        image("CENSOR", lambda a: a[:, 0]),
        image("EXPONENT", lambda a: a * 10**6),
        image("EXPONENT", lambda a: a - 1),
        image("EXPONENT", lambda a: a + 0.5),
        image("EXPONENT", lambda a: a[1:]),
        image("EXPONENT", lambda a: a[:, :1]),
        lambda hdus: hdus.insert(2, fits.ImageHDU(name="EMPTY")),
        lambda hdus: hdus.pop("STARTS"),
        lambda hdus: hdus[0].header.remove("L1"),
        lambda hdus: hdus[0].header.set("L1", "strong"),
        lambda hdus: hdus[0].header.set("SCATTER", 1),
        lambda hdus: hdus["CONTINUUM"].header.set("ORDER", 10**7),
        lambda hdus: hdus["CONTINUUM"].header.set("ORDER", "high"),
        lambda hdus: hdus["CONTINUUM"].header.set("REGION1", "5000 nan"),
    ],
)
def test_a_model_of_arrays_that_do_not_fit_is_refused(model_file, change):
    def checked(hdus):
        change(hdus)
        for hdu in hdus:
            fitsheaders.reserve_checksum(hdu.header)

    rewrite(model_file, checked)
    with pytest.raises(FileFormatError, match=r"model\.fits"):
        CannonModel.read(model_file)


def test_a_table_of_a_compressed_image_is_not_inflated(model_file):
    # 40 MB of zeros in 40 kB: astropy would make the image of it
    zeros = fits.CompImageHDU(np.zeros((500, 10_000)), name="THETA")

    def change(hdus):
        hdus[hdus.index_of("THETA")] = zeros
        fitsheaders.reserve_checksum(zeros.header)

    with fits.open(model_file, memmap=False) as hdus:
        change(hdus)
        hdus.writeto(model_file, overwrite=True)
    content = model_file.read_bytes()
    assert b"ZIMAGE" in content and len(content) < 300_000
    for start, data, _ in hdu_places(content):
        if b"CHECKSUM=" not in content[start:data]:
            end = content.rindex(b"END", start, data)
            cards = b"DATASUM = '0'".ljust(80) + b"CHECKSUM= '0'".ljust(80)
            content = content[:end] + cards + content[end : -len(cards) or None]
            break
    model_file.write_bytes(content)
    refused = pytest.raises(FileFormatError, match=r"model\.fits")

    def read():
        with refused:
            CannonModel.read(model_file)

    assert peak_of(read) < 5e6


@pytest.mark.parametrize(
    "old, new, after",
    [
        (b"NAXIS1  =                   10", b"NAXIS1  = 1E4000", b"THETA"),
        (b"GCOUNT  =                    1", b"GCOUNT  = 0", b""),
        (b"PCOUNT  =                    0", b"PCOUNT  = 2880", b""),
        (b"TFIELDS =                    3", b"TFIELDS = 999999999", b""),
        (b"TFIELDS =                    3", b"TFIELDS = -1", b""),
        (b"TFORM1  = '4A      '", b"TFORM1  = '999999999A'", b""),
        (b"TFORM1  = '4A      '", b"TFORM1  = '1PE(9)'", b""),
        (b"TTYPE2  = 'fiducial'", b"TTYPX2  = 'fiducial'", b""),
        (b"EXTNAME = 'LABELS  '", b"EXTNAME =        3.5", b""),
        (b"NAXIS   =                    0", b"NAXIS   = 1E9", b""),
        (b"BITPIX  =                  -64", b"BITPIX  =   T", b""),
        (b"FCTYPE  = 'CannonModel'", b"FCTYPE  =           3.5", b""),
    ],
)
def test_headers_that_promise_what_is_not_there(model_file, old, new, after):
    content = model_file.read_bytes()
    place = content.find(old)
    if place < 0:
        pytest.fail(f"no card {old}")
    replace_card(model_file, old, new)

    def read():
        for call in (CannonModel.read, describe):
            with pytest.raises(FileFormatError, match=r"model\.fits"):
                call(model_file)

    assert peak_of(read) < 5e6


def test_a_file_that_is_replaced_while_it_is_read(model_file, monkeypatch):
    # what was verified is what is parsed, whatever the path says later
    verify = fitsfiles.verify_open
    theta = CannonModel.read(model_file).theta
    other = b"SIMPLE  =                    T"

    def and_replaced(*arguments):
        verify(*arguments)
        model_file.write_bytes(other)

    monkeypatch.setattr(fitsfiles, "verify_open", and_replaced)
    np.testing.assert_array_equal(CannonModel.read(model_file).theta, theta)
    assert model_file.read_bytes() == other


# ---- spectra files


@pytest.mark.parametrize("name", ["FLUX", "IVAR", "STARS", "WAVELENGTH"])
def test_a_flipped_bit_of_a_spectra_file_ends_the_work(good, spectra_file, name):
    flip(spectra_file, place_of(spectra_file, name) + 9, bit=6)
    model = CannonModel.read(good / "model.fits")
    out = spectra_file.with_name("labels.fits")
    for work in (
        lambda spectra: jobs.train(CannonModel(NAMES), spectra),
        lambda spectra: jobs.validate(CannonModel(NAMES), spectra, folds=2),
        lambda spectra: jobs.infer(model, spectra, out),
    ):
        with (
            SpectraFile(spectra_file) as spectra,
            pytest.raises(FileFormatError, match=rf"{name}: the checksum of the data"),
        ):
            work(spectra)
    assert not out.exists()


@pytest.mark.parametrize(
    "old, new",
    [
        (b"GCOUNT  =                    1", b"GCOUNT  = 0"),
        (b"PCOUNT  =                    0", b"PCOUNT  = 2880"),
        (b"NAXIS2  =                   40", b"NAXIS2  = 4E0"),
        (b"TFIELDS =                    4", b"TFIELDS = 999999999"),
        (b"EXTNAME = 'STARS   '", b"EXTNAME = 12.5"),
    ],
)
def test_spectra_of_a_header_that_lies(spectra_file, old, new):
    replace_card(spectra_file, old, new)
    with pytest.raises(FileFormatError, match=r"stars\.fits"):
        SpectraFile(spectra_file)


def test_ids_that_are_not_ascii_are_shown(spectra_file):
    place = place_of(spectra_file, "STARS") + spectra_file.read_bytes()[
        place_of(spectra_file, "STARS") :
    ].index(b"star 0")
    flip(spectra_file, place, bit=7)
    with SpectraFile(spectra_file) as spectra:
        assert spectra.ids(0, 2).tolist() == [r"\xf3tar 0", "star 1"]


# ---- images of surveys


@pytest.mark.parametrize("key, value", [("GCOUNT", 0), ("GCOUNT", 2), ("PCOUNT", 8)])
def test_images_have_one_group_and_nothing_else(tmp_path, key, value):
    path = tmp_path / "image.fits"
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 9), "f4"))])
    hdus.writeto(path)
    content = path.read_bytes()
    place = content.index(f"{key:8}=".encode())
    card = f"{key:8}= {value:>20}".encode()
    path.write_bytes(content[:place] + card + content[place + len(card) :])
    with pytest.raises(FileFormatError, match=f"HDU 1: {key} is {value}; [01] is exp"):
        read_hdus(path)


# ---- models and normalisers from arrays


def coefficients(**changes):
    given = {
        "label_names": ("teff", "logg"),
        "theta": np.ones((5, 6)),
        "s2": np.zeros(5),
        "fiducials": [5000.0, 3.0],
        "scales": [1000.0, 2.0],
        "wavelength": np.arange(5.0) + 1,
    }
    return CannonModel.from_coefficients(**(given | changes))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"training_labels": [[1.0, 2.0], [np.nan, 3.0]]}, "'teff'.*row 1"),
        ({"training_labels": np.empty((0, 2))}, "training_labels.* one star"),
        ({"wavelength": [1, 2, np.nan, 4, 5]}, "wavelength must be finite"),
        ({"wavelength": [1, 2, 2, 4, 5]}, "increase"),
        ({"wavelength": [1, 2, 3]}, r"\(3,\).*5 pixels"),
        ({"theta": np.full((5, 6), 1e11)}, r"theta .*1e\+10"),
        ({"theta": np.empty((0, 6)), "s2": np.empty(0)}, "theta"),
        ({"degree": 1000}, "degree"),
        ({"terms": ["teff^1000000"]}, "teff.1000000.* degree"),
    ],
)
def test_coefficients_that_cannot_be_used(changes, words):
    with pytest.raises(InputError, match=words):
        coefficients(**changes)


def test_training_on_a_grid_of_nan_is_refused():
    stars = toy(n=40, p=20)
    for grid in (np.full(20, np.nan), np.zeros(20), np.arange(20.0)[::-1]):
        with pytest.raises(InputError, match="wavelength must be finite and increase"):
            CannonModel(NAMES).train(*stars.training, wavelength=grid)


@pytest.mark.parametrize(
    "names",
    [
        *(("teff", name) for name in ("id", "chi2", "r_chi2", "snr", "n_pixels")),
        *(("teff", name) for name in ("minima", "status", "covariance", "fold")),
        *(("teff", name) for name in ("e_teff", "teff_inside", "teff_given")),
        ("chi2_inside",),
    ],
)
def test_labels_may_not_be_called_as_columns_of_results(names):
    with pytest.raises(InputError, match=r"label_names .*column"):
        CannonModel(names)


def test_more_labels_and_terms_than_any_star_needs_are_refused():
    with pytest.raises(InputError, match="at most"):
        CannonModel([f"label{i}" for i in range(1000)], degree=1)
    with pytest.raises(InputError, match="terms"):
        CannonModel([f"label{i}" for i in range(90)], degree=3)


def test_an_order_that_the_pixels_cannot_hold_is_refused_at_once():
    grid = np.arange(1.0, 101.0)

    def refuse():
        with pytest.raises(InputError, match="order is 20000"):
            Normaliser(grid, np.ones(100, bool), [(1.0, 100.0)], 20_000)

    assert peak_of(refuse) < 1e6
    for name in ("chebyshev", "sines_and_cosines"):
        code = (
            "import resource, numpy as np\n"
            "from fastcannon import continuum, InputError\n"
            "resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))\n"
            "grid = np.arange(1.0, 101.0)\n"
            "try:\n"
            f"    continuum.{name}(grid, grid, grid, grid > 0, order=10**9)\n"
            "except InputError as error:\n"
            "    print(error)\n"
        )
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
        )
        assert "100 continuum pixels" in found.stdout, found.stderr


# ---- where the compiler's cache cannot be


def test_a_user_without_a_home_waits_for_the_compiler():
    code = (
        "import os, pathlib\n"
        "def homeless(*_):\n"
        "    raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = homeless\n"
        "from fastcannon.kernels import compile\n"
        "import numpy as np\n"
        "@compile.kernel\n"
        "def double(x):\n"
        "    return 2 * x\n"
        "print(double(21), double._cache.__class__.__name__)\n"
    )
    unset = ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "LOCALAPPDATA")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert found.stdout == "42 NullCache\n", found.stderr
