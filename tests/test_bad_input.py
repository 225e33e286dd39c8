"""Bad input: a clear error or a status, and nothing else harmed."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from toy import NAMES, result_bytes, toy

from fastcannon import (
    PIXEL_STATUS,
    STAR_STATUS,
    BadPixelWarning,
    CannonModel,
    FileFormatError,
    InputError,
    TrainingWarning,
)


@pytest.fixture(scope="module")
def stars():
    return toy(n=80, p=70, seed=30)


@pytest.fixture(scope="module")
def model(stars):
    return CannonModel(NAMES).train(*stars.training)


def train(stars, **changes):
    """Train on the toy survey with some of its arrays replaced."""
    given = {"labels": stars.labels, "flux": stars.flux, "ivar": stars.ivar}
    return CannonModel(NAMES).train(**(given | changes))


# ---- shapes and types


def test_shapes_that_disagree(stars, model):
    flux, ivar = stars.spectra
    expected = r"flux has shape \(80, 70\) but ivar has shape \(80, 69\)"
    for call in (
        lambda: train(stars, ivar=ivar[:, 1:]),
        lambda: model.infer(flux, ivar[:, 1:]),
        lambda: model.cross_validate(stars.labels, flux, ivar[:, 1:]),
        lambda: model.l1_path(stars.labels, flux, ivar[:, 1:], [1.0]),
    ):
        with pytest.raises(InputError, match=expected):
            call()
    with pytest.raises(InputError, match="labels of 79 stars but spectra of 80"):
        train(stars, labels=stars.labels[1:])
    with pytest.raises(InputError, match="79"):
        model.cross_validate(stars.labels[1:], flux, ivar)
    with pytest.raises(InputError, match=r"labels have shape \(80, 2\).*\(stars, 3\)"):
        train(stars, labels=stars.labels[:, :2])
    with pytest.raises(InputError, match=r"wavelength has shape \(3,\).*70 pixels"):
        train(stars, wavelength=[1, 2, 3])
    with pytest.raises(InputError, match=r"labels have shape .*\(stars, 3\)"):
        model.predict_flux([1.0, 2.0])


def test_one_dimensional_flux(stars, model):
    for call in (
        lambda: model.infer(stars.flux[0], stars.ivar[0]),
        lambda: train(stars, flux=stars.flux[0], ivar=stars.ivar[0]),
    ):
        with pytest.raises(InputError, match=r"\(70,\).*flux\[None, :\]"):
            call()
    with pytest.raises(InputError, match=r"\(1, 80, 70\); expected \(stars, pixels\)"):
        model.infer(stars.flux[None], stars.ivar[None])


def test_wrong_number_of_pixels(stars, model):
    with pytest.raises(InputError, match="69 pixels; the model has 70"):
        model.infer(stars.flux[:, 1:], stars.ivar[:, 1:])


@pytest.mark.parametrize("dtype", [complex, object, str, bool])
def test_types_that_are_not_real_numbers(stars, model, dtype):
    name = str(np.asarray(stars.flux[:1, :1]).astype(dtype).dtype)[:2]
    for which in ("flux", "ivar"):
        spectra = {"flux": stars.flux, "ivar": stars.ivar}
        spectra[which] = spectra[which].astype(dtype)
        for call in (
            lambda s=spectra: model.infer(**s),
            lambda s=spectra: train(stars, **s),
        ):
            with pytest.raises(InputError, match=f"{which} has type {name}.*real"):
                call()
    with pytest.raises(InputError, match=f"labels have type {name}.*real"):
        train(stars, labels=stars.labels.astype(dtype))
    table = Table(stars.labels, names=NAMES)
    table["logg"] = table["logg"].astype(dtype)
    with pytest.raises(InputError, match="label column 'logg' has type"):
        train(stars, labels=table)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype("f8"),
        lambda a: a.astype(">f4"),
        lambda a: a.astype(">f8"),
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.tolist(),
        np.ma.masked_array,
    ],
    ids=["f8", "big-endian", "big-endian f8", "fortran", "strided", "list", "masked"],
)
def test_any_layout_gives_equal_bytes(stars, model, change):
    labels, flux, ivar = (change(a) for a in stars.training)
    if getattr(labels, "dtype", None) == np.dtype(">f4"):
        labels = stars.labels.astype(">f8")
    other = CannonModel(NAMES).train(labels, flux, ivar)
    assert other.theta.tobytes() == model.theta.tobytes()
    assert other.s2.tobytes() == model.s2.tobytes()
    ours, theirs = model.infer(*stars.spectra), other.infer(flux, ivar)
    assert result_bytes(ours) == result_bytes(theirs)


def test_read_only_arrays(stars, model):
    arrays = [a.copy() for a in stars.training]
    for array in arrays:
        array.flags.writeable = False
    other = CannonModel(NAMES).train(*arrays)
    assert other.theta.tobytes() == model.theta.tobytes()
    ours, theirs = model.infer(*stars.spectra), model.infer(*arrays[1:])
    assert result_bytes(ours) == result_bytes(theirs)


@pytest.mark.parametrize("dtype", ["f2", "i2", ">i4", "u1", "i8"])
def test_narrow_and_integer_types(stars, dtype):
    flux = np.round(stars.flux * 100)  # exact in all of them
    ivar = np.full(flux.shape, 4)
    plain = CannonModel(NAMES).train(stars.labels, flux.astype("f4"), ivar.astype("f4"))
    other = CannonModel(NAMES).train(
        stars.labels, flux.astype(dtype), ivar.astype(dtype)
    )
    assert other.theta.tobytes() == plain.theta.tobytes()
    ours = plain.infer(flux.astype("f4"), ivar.astype("f4"))
    theirs = plain.infer(flux.astype(dtype), ivar.astype(dtype))
    assert result_bytes(ours) == result_bytes(theirs)


def test_integer_labels(stars):
    labels = np.round(stars.labels * [1, 100, 100])
    plain = CannonModel(NAMES).train(labels, *stars.spectra)
    other = CannonModel(NAMES).train(labels.astype(int), *stars.spectra)
    assert other.theta.tobytes() == plain.theta.tobytes()


# ---- bad pixels


BAD_IVAR = [-1.0, -np.inf, np.inf, np.nan, 1e30]
BAD_FLUX = [1e20, -1e20, np.nan, np.inf, -np.inf]


@pytest.mark.parametrize(
    ("which", "value"),
    [("ivar", v) for v in BAD_IVAR] + [("flux", v) for v in BAD_FLUX],
)
def test_bad_pixels_count_as_zero_weight(stars, model, which, value):
    spectra = {"flux": stars.flux.copy(), "ivar": stars.ivar.copy()}
    spectra[which][5, 6], spectra[which][7, 8] = value, value
    ivar = stars.ivar.copy()
    ivar[5, 6] = ivar[7, 8] = 0
    masked = train(stars, ivar=ivar)
    with pytest.warns(BadPixelWarning, match="2 of 5600 pixels"):
        other = train(stars, **spectra)
    assert other.theta.tobytes() == masked.theta.tobytes()
    assert other.s2.tobytes() == masked.s2.tobytes()
    kept = np.setdiff1d(np.arange(70), [6, 8])
    assert other.theta[kept].tobytes() == model.theta[kept].tobytes()
    ours = model.infer(stars.flux, ivar)
    with pytest.warns(BadPixelWarning, match="2 of 5600 pixels"):
        theirs = model.infer(**spectra)
    assert result_bytes(ours) == result_bytes(theirs)
    assert theirs.n_pixels[[5, 6, 7]].tolist() == [69, 70, 69]


def test_masked_arrays(stars, model):
    mask = np.zeros(stars.flux.shape, bool)
    mask[5, 6] = mask[7, 8] = True
    ivar = np.where(mask, np.float32(0), stars.ivar)
    with pytest.warns(BadPixelWarning, match="2 of 5600 pixels"):
        theirs = model.infer(np.ma.array(stars.flux, mask=mask), stars.ivar)
    assert result_bytes(model.infer(stars.flux, ivar)) == result_bytes(theirs)


def test_unknown_flux_without_weight_is_no_reason_to_warn(stars, model):
    flux, ivar = stars.flux.copy(), stars.ivar.copy()
    flux[5, 6], ivar[5, 6] = np.nan, 0
    result = model.infer(flux, ivar)
    assert np.isfinite(result.labels).all()


def test_numbers_beyond_float32(stars, model):
    flux, ivar = (a.astype("f8") for a in stars.spectra)
    flux[3, 4], ivar[5, 6] = 1e300, 1e300
    with pytest.warns(BadPixelWarning, match="2 of 5600 pixels"):
        result = model.infer(flux, ivar)
    assert np.isfinite(result.labels).all()


@pytest.mark.parametrize("scale", [1e14, 1e-30])
def test_extreme_but_usable_numbers_stay_in_their_pixel(stars, model, scale):
    ivar = stars.ivar.copy()
    ivar[5, 6] = scale
    other = train(stars, ivar=ivar)
    kept = np.arange(70) != 6
    assert other.theta[kept].tobytes() == model.theta[kept].tobytes()
    assert np.isfinite(other.theta).all() and np.isfinite(other.s2).all()
    result = model.infer(stars.flux, ivar)
    good = model.infer(*stars.spectra)
    rows = np.arange(80) != 5
    assert result.labels[rows].tobytes() == good.labels[rows].tobytes()
    assert (abs(result.labels - stars.labels)[5] < 8 * result.errors[5]).all()


def test_absurd_flux_in_training_stays_in_its_pixel(stars, model):
    flux = stars.flux.copy()
    flux[5, 6] = 1e9
    other = train(stars, flux=flux)
    kept = np.arange(70) != 6
    assert other.theta[kept].tobytes() == model.theta[kept].tobytes()
    assert other.s2[6] > 1e14
    assert np.isfinite(other.theta).all()
    labels = other.infer(*stars.spectra).labels
    away = abs(labels - model.infer(*stars.spectra).labels)
    assert (away < 2 * model.infer(*stars.spectra).errors).all()


# ---- stars that cannot be trained on


@pytest.mark.parametrize("n", [0, 1, 9, 10])
def test_fewer_stars_than_terms(stars, n):
    expected = f"{n} stars cannot determine 10 terms"
    with pytest.raises(InputError, match=expected):
        CannonModel(NAMES).train(*(a[:n] for a in stars.training))


# ---- pixels and spectra without data


@pytest.mark.parametrize("settings", [{}, {"scatter": "median"}, {"l1": 10.0}], ids=str)
def test_pixels_without_data_or_with_few_stars(stars, settings):
    ivar = stars.ivar.copy()
    ivar[:, 3] = 0
    ivar[10:, 4] = 0  # as many stars as terms
    ivar[11:, 5] = 0  # one more
    model = CannonModel(NAMES, **settings).train(stars.labels, stars.flux, ivar)
    assert model.status[3] == PIXEL_STATUS["NO_DATA"]
    assert model.status[4] == PIXEL_STATUS["FEW_STARS"]
    assert model.status[5] & PIXEL_STATUS["FEW_STARS"] == 0
    for p in (3, 4):
        assert model.theta[p].tolist() == [1] + 9 * [0]
        assert np.isinf(model.s2[p])
    free = CannonModel(NAMES, **settings).train(*stars.training)
    others = np.setdiff1d(np.arange(70), [3, 4, 5])
    np.testing.assert_allclose(model.theta[others], free.theta[others], atol=1e-12)
    result = model.infer(*stars.spectra)
    assert (result.n_pixels == 68).all()
    assert (abs(result.labels - stars.labels) < 8 * result.errors).all()


def test_pixels_that_cannot_tell_terms_apart(stars):
    ivar = stars.ivar.copy()
    labels = stars.labels.copy()
    labels[:20, 2] = 0.25
    ivar[20:, 3] = 0  # at this pixel every star has the same fe_h
    model = train(stars, labels=labels, ivar=ivar)
    assert model.status[3] == PIXEL_STATUS["DEPENDENT_TERMS"]
    assert (model.status[np.arange(70) != 3] == 0).all()
    assert np.isfinite(model.theta[3]).all() and np.isfinite(model.s2[3])
    r = stars.flux[:20, 3] - model.predict_flux(labels[:20])[:, 3]
    assert r.std() < 0.02  # the stars that it has are fitted


def test_spectra_without_data(stars, model):
    ivar = stars.ivar.copy()
    ivar[[4, 9]] = 0
    with pytest.warns(TrainingWarning, match="2 of 80 training spectra have no usable"):
        other = train(stars, ivar=ivar)
    assert np.isfinite(other.theta).all()
    result = model.infer(stars.flux, ivar)
    assert (result.status[[4, 9]] == STAR_STATUS["NO_DATA"]).all()
    assert np.isnan(result.labels[[4, 9]]).all()
    good = result_bytes(model.infer(*stars.spectra))
    rows = np.setdiff1d(np.arange(80), [4, 9])
    assert [result_bytes(result)[i] for i in rows] == [good[i] for i in rows]


def test_no_pixel_has_data(stars):
    with pytest.warns(TrainingWarning, match="80 of 80"):
        model = train(stars, ivar=0 * stars.ivar)
    assert (model.status == PIXEL_STATUS["NO_DATA"]).all()
    result = model.infer(*stars.spectra)
    assert (result.status == STAR_STATUS["NO_DATA"]).all()


# ---- model files


@pytest.fixture
def path(model, tmp_path):
    model.write(tmp_path / "model.fits")
    return tmp_path / "model.fits"


def test_model_file_cut_short(path):
    content = path.read_bytes()
    for length in (0, 100, 2880, len(content) // 2, len(content) - 2880):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"model\.fits"):
            CannonModel.read(path)


def test_model_file_of_another_version(path):
    content = path.read_bytes()
    card = b"FCVERS  =                    1"
    assert content.count(card) == 1
    path.write_bytes(content.replace(card, card[:-1] + b"9"))
    with pytest.raises(FileFormatError, match=r"version 9.*reads version 1"):
        CannonModel.read(path)


def test_not_a_model_file(path, stars):
    fits.PrimaryHDU(stars.flux).writeto(path, overwrite=True)
    with pytest.raises(FileFormatError, match="not a fastcannon file"):
        CannonModel.read(path)
    path.write_text("teff logg fe_h\n")
    with pytest.raises(FileFormatError, match=r"model\.fits"):
        CannonModel.read(path)
    with pytest.raises(OSError, match="nowhere"):
        CannonModel.read(path.with_name("nowhere.fits"))


def test_a_file_of_another_kind(path, stars):
    from fastcannon import write_spectra

    table = Table(stars.labels, names=NAMES)
    table["id"] = [f"star {i}" for i in range(80)]
    write_spectra(path, *stars.spectra, np.arange(70.0), table, normalised=True)
    with pytest.raises(FileFormatError, match=r"kind .*CannonModel is needed"):
        CannonModel.read(path)


def test_damaged_model_file(path):
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(content), 40):
        damaged = content.copy()
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"model\.fits"):
            CannonModel.read(path)


def test_model_file_without_one_of_its_parts(path):
    from fastcannon.fitsfiles import write_hdus

    for name in ("THETA", "S2", "STARTS", "EXPONENT", "LABELS"):
        with fits.open(path, memmap=False) as hdus:
            rest = [hdu.copy() for hdu in hdus if hdu.name != name]
        for hdu in rest:
            hdu.header.remove("CHECKSUM", ignore_missing=True)
        part = path.with_name("part.fits")
        write_hdus(part, rest, "CannonModel", 1)
        with pytest.raises(FileFormatError, match=r"part\.fits.*is missing"):
            CannonModel.read(part)


def test_writing_where_there_is_no_folder(model, path):
    with pytest.raises(InputError, match="does not exist"):
        model.write(path.parent / "nowhere" / "model.fits")


# ---- options


def test_untrained_model(stars, tmp_path):
    model = CannonModel(NAMES)
    for call in (
        lambda: model.infer(*stars.spectra),
        lambda: model.inferrer(),
        lambda: model.predict_flux(stars.labels),
        lambda: model.write(tmp_path / "model.fits"),
    ):
        with pytest.raises(InputError, match=r"not trained: call train\(\) or read"):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"label_names": ()}, "one or more strings"),
        ({"label_names": ("teff", 3)}, "one or more strings"),
        ({"label_names": ("teff", "teff")}, "hold a name twice"),
        ({"degree": 0}, "degree is 0; a whole number >= 1"),
        ({"degree": 1.5}, "degree is 1.5; a whole number >= 1"),
        ({"terms": []}, "terms"),
        ({"terms": ["1"]}, "terms are empty"),
        (
            {"terms": ["teff", "logg*teff", "teff*logg"]},
            r"'teff\*logg' is listed twice",
        ),
        ({"terms": ["teff^-1"]}, r"'teff\^-1' names the label"),
        ({"terms": ["teff*"]}, r"'teff\*' is not of the form"),
        ({"terms": ["vsini"]}, "'vsini'; the labels are teff, logg, fe_h"),
        ({"terms": [[1, 0], [0, 1]]}, r"or exponents \(terms, 3\)"),
        ({"terms": [[1, 0, -1]]}, "integers >= 0"),
        ({"terms": [[1.5, 0, 1]]}, "type float64"),
        ({"l1": -1.0}, "l1 is -1.0; a finite strength >= 0"),
        ({"l1": np.nan}, "l1 is nan"),
        ({"l1": np.inf}, "l1 is inf"),
        ({"scatter": "mean"}, "scatter is 'mean'; expected one of .*median"),
        ({"censors": {"logg": np.zeros(70)}}, "'logg' has type float64.*boolean"),
        ({"censors": {"logg": np.zeros((2, 3), bool)}}, r"shape \(2, 3\)"),
        ({"censors": {"vsini": np.zeros(70, bool)}}, "censors name vsini"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_settings_of_a_model(settings, expected):
    with pytest.raises(InputError, match=expected):
        CannonModel(**({"label_names": NAMES} | settings))


def test_censor_of_another_length(stars):
    model = CannonModel(NAMES, censors={"logg": np.zeros(69, bool)})
    with pytest.raises(InputError, match="'logg' has 69 pixels; the spectra have 70"):
        model.train(*stars.training)
    assert model.theta is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"precision": "half"}, "precision is 'half'; 'single' or 'double'"),
        ({"method": "fast"}, "method is 'fast'; 'auto', 'compressed' or 'streaming'"),
        ({"starts": 0}, "starts is 0; a whole number >= 1"),
        ({"starts": 2.5}, "starts is 2.5"),
        ({"threads": 0}, "threads is 0; a whole number >= 1"),
        ({"threads": 1.5}, "threads is 1.5"),
        ({"threads": -2}, "threads is -2"),
    ],
    ids=str,
)
def test_options_of_inference(stars, model, options, expected):
    with pytest.raises(InputError, match=expected):
        model.infer(*stars.spectra, **options)
    if "threads" in options:
        with pytest.raises(InputError, match=expected):
            CannonModel(NAMES).train(*stars.training, **options)


@pytest.mark.parametrize("folds", [0, 1, -3, 2.5, "many", np.nan])
def test_number_of_folds(stars, folds):
    with pytest.raises(InputError, match=rf"folds is '?{folds}'?; .* >= 2 is expected"):
        CannonModel(NAMES).cross_validate(*stars.training, folds=folds)


def test_more_folds_than_stars(stars):
    with pytest.raises(InputError, match=r"folds is 81; .*from 2 .*\(80\)"):
        CannonModel(NAMES).cross_validate(*stars.training, folds=81)


@pytest.mark.parametrize("strengths", [[-1.0], [np.nan, 1.0], [[1.0, 2.0]]], ids=str)
def test_strengths_of_a_path(stars, strengths):
    with pytest.raises(InputError, match=r"strengths are .*finite numbers >= 0"):
        CannonModel(NAMES).l1_path(*stars.training, strengths)


def test_a_failed_training_leaves_the_model_as_it_was(stars, model):
    again = CannonModel(NAMES).train(*stars.training)
    before = result_bytes(again.infer(*stars.spectra))
    bad = stars.labels.copy()
    bad[:, 2] = bad[:, 1]
    with pytest.raises(InputError):
        again.train(bad, *stars.spectra)
    assert result_bytes(again.infer(*stars.spectra)) == before


def test_good_input_warns_of_nothing(stars):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = CannonModel(NAMES).train(*stars.training)
        model.infer(*stars.spectra).to_table()
        model.cross_validate(*stars.training, folds=3).to_table()
