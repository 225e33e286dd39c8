"""The Cannon: train on stars with known labels, then infer labels of other spectra."""

import warnings
from copy import copy

import numpy as np

from .arrays import check_spectra, clean_spectra, label_array, warn_bad
from .checks import (
    SCATTERS,
    check_censors,
    check_coefficients,
    check_extent,
    check_independent,
    check_label_names,
    check_label_values,
    check_wavelength,
    percentile_scaling,
)
from .errors import InputError, TrainingWarning
from .inference import Inferrer
from .kernels.hull import hull_vertices
from .l1path import L1Path
from .modelfile import read_model, write_model
from .starts import make_starts
from .terms import Terms
from .training import (
    Design,
    JointFit,
    LassoFit,
    MedianFit,
    pixel_blocks,
    pixel_groups,
    train_path,
    train_pixels,
)
from .validation import cross_validate

HULL_TOLERANCE = 1e-12


class CannonModel:
    """A model of spectra, polynomial in the labels, with a scatter for every pixel.

    Parameters
    ----------
    label_names : sequence of str
        The K labels, as they are called in tables.
    degree : int
        Every monomial up to this degree is a term (Ness+2015: 2).
    terms : sequence of str or array_like (T, K), optional
        Instead: AnniesLasso's strings ("TEFF^2", "TEFF*LOGG") or exponents. The
        constant term is always there.
    censors : dict of label name to boolean array (P,), optional
        True where a label must not be used: every term with it is zero there.
    l1 : float
        Strength Lambda of the penalty chi^2 + Lambda sum abs(theta) (Casey+2016).
    scatter : {"likelihood", "median"}
        theta and s2 jointly of maximum likelihood (Nandakumar+2022 eq. 3), or
        AnniesLasso's definition.

    Attributes
    ----------
    theta : ndarray, (P, T)
        Coefficients in scaled labels ``(label - fiducial) / scale``.
    s2 : ndarray, (P,)
        Scatter (variance); inf at pixels that the training set does not cover.
    terms : Terms
    fiducials, scales : ndarray, (K,)
        Median and 2.5 to 97.5 percentile range of the training labels (eq. 2).
    status : ndarray, (P,), int64
        Bits of `training.PIXEL_STATUS`.
    wavelength : ndarray (P,) or None
        Angstrom.
    normaliser : normalise.Normaliser or None
        How the training spectra were normalised; yours to set. It is kept in the
        model's file, and ``fastcannon infer`` applies it to all spectra: a continuum
        that is 1 already stays so.
    """

    def __init__(
        self,
        label_names,
        degree=2,
        terms=None,
        censors=None,
        l1=0.0,
        scatter="likelihood",
    ):
        self.label_names = check_label_names(label_names)
        if terms is None:
            self.terms = Terms.complete(self.label_names, degree)
        else:
            self.terms = Terms.parse(self.label_names, terms)
        self.censors = check_censors(censors, self.label_names)
        if not isinstance(l1, (int, float, np.number)) or not 0 <= l1 < np.inf:
            raise InputError(f"l1 is {l1!r}; a finite strength >= 0 is expected")
        self.l1 = float(l1)
        if scatter not in SCATTERS:
            raise InputError(f"scatter is {scatter!r}; expected one of {SCATTERS}")
        self.scatter = scatter
        self.theta = self.s2 = self.status = self.wavelength = None
        self.fiducials = self.scales = None
        self.starts = self.hull = None
        self.normaliser = None

    @classmethod
    def from_coefficients(
        cls,
        label_names,
        theta,
        s2,
        fiducials,
        scales,
        terms=None,
        degree=2,
        wavelength=None,
        training_labels=None,
    ):
        """Build a model from published coefficients.

        Parameters
        ----------
        label_names : sequence of str
        theta : array_like, (P, T)
            In the order of the terms, the constant first.
        s2 : array_like, (P,)
            Scatter as a variance.
        fiducials, scales : array_like, (K,)
            The model was trained on ``(label - fiducial) / scale``.
        terms, degree :
            As in `CannonModel`.
        wavelength : array_like, (P,), optional
            Angstrom.
        training_labels : array_like (N, K) or table, optional
            Labels it was trained on: gives inference its starting points and the hull
            outside of which stars are flagged. Without them the starts fill a box of
            one scale about the fiducials and nothing is flagged.
        """
        model = cls(label_names, degree=degree, terms=terms)
        k = len(model.label_names)
        model.theta, model.s2 = check_coefficients(theta, s2, model.terms)
        model.fiducials = check_label_values(fiducials, k, "fiducials")
        model.scales = check_label_values(scales, k, "scales")
        if not (model.scales > 0).all():
            raise InputError(f"scales are {model.scales}; all must be > 0")
        n_pixels = len(model.theta)
        model.status = np.zeros(n_pixels, dtype=np.int64)
        if wavelength is not None:
            model.wavelength = check_wavelength(wavelength, n_pixels)
        if training_labels is None:
            corners = np.vstack([-np.ones(k), np.ones(k)])
            model.starts = make_starts(corners)
        else:
            labels = label_array(training_labels, model.label_names)
            if not len(labels):
                raise InputError(
                    "training_labels are empty; at least one star is needed"
                )
            model._check_labels(labels)
            check_extent(labels, model.label_names, model.fiducials, model.scales)
            model._learn_extent(model.scale_labels(labels))
        return model

    def train(self, labels, flux, ivar, wavelength=None, threads=None, progress=None):
        """Fit theta and s2 of every pixel to stars with known labels.

        Parameters
        ----------
        labels : array_like (N, K) or table with the label columns
        flux, ivar : array_like, (N, P)
            Normalised flux and its inverse variance; ivar 0 where there is none.
        wavelength : array_like, (P,), optional
            Angstrom; kept with the model.
        threads : int, optional
            Default: all cores.
        progress : callable, optional
            Called with the number of pixels done, as they are done.

        Returns
        -------
        CannonModel
            Itself.

        Raises
        ------
        InputError
            For shapes, types, names or labels that cannot be trained on.
        """
        labels = label_array(labels, self.label_names)
        flux, ivar = clean_spectra(flux, ivar)
        self._check_training(labels, flux, ivar)
        if wavelength is not None:
            wavelength = check_wavelength(wavelength, flux.shape[1])
        fiducials, scales = percentile_scaling(labels, self.label_names)
        x = (labels - fiducials) / scales
        check_independent(self.terms, x)
        groups, designs = self.designs(x, flux.shape[1])
        # nothing of the model changes before the training has succeeded
        self.theta, self.s2, self.status = train_pixels(
            flux,
            ivar,
            designs,
            pixel_blocks(groups),
            len(self.terms),
            self.fit,
            threads,
            progress,
        )
        self.fiducials, self.scales = fiducials, scales
        self.wavelength = wavelength
        self._learn_extent(x)
        return self

    def infer(
        self,
        flux,
        ivar,
        starts=8,
        threads=None,
        progress=None,
        precision="single",
        method="auto",
    ):
        """Infer the labels of spectra (Nandakumar+2022 eq. 4).

        Parameters
        ----------
        flux, ivar : array_like, (S, P)
            Normalised flux and its inverse variance.
        starts : int
            Descents per spectrum, from the best of the model's starting points
            (`starts.make_starts`); 1 descends from the fiducial labels alone.
        threads : int, optional
            Default: all cores.
        progress : callable, optional
            Called with the number of spectra done, as they are done.
        precision : {"single", "double"}
            Of the matrix products; the last step is in double precision always.
        method : {"auto", "compressed", "streaming"}
            Both minimise the same chi2; "auto" takes the faster.

        Returns
        -------
        InferenceResult

        Raises
        ------
        InputError
            For shapes or types that cannot be used, or an untrained model.
        """
        flux, ivar = check_spectra(flux, ivar)
        self._check_pixels(flux)
        inferrer = self.inferrer(starts, len(flux), precision, method)
        result = inferrer.infer(flux, ivar, threads, progress)
        warn_bad(result.bad_pixels, flux.size)
        return result

    def inferrer(self, starts=8, n_spectra=1, precision="single", method="auto"):
        """Prepare inference once, for spectra that come in parts.

        Parameters
        ----------
        starts, precision, method :
            As in `infer`.
        n_spectra : int
            How many spectra will come.

        Returns
        -------
        inference.Inferrer
        """
        self._check_trained()
        return Inferrer(
            self.label_names,
            self.terms,
            self.theta,
            self.s2,
            self.fiducials,
            self.scales,
            self.starts,
            self.hull,
            starts,
            max(n_spectra, 1),
            precision,
            method,
        )

    def cross_validate(
        self,
        labels,
        flux,
        ivar,
        folds=12,
        seed=0,
        starts=8,
        threads=None,
        progress=None,
    ):
        """Infer every training star by a model trained without its fold.

        Trains this model on all stars first; the folds keep its fiducials and scales.

        Parameters
        ----------
        labels, flux, ivar :
            As in `train`.
        folds : int
            Number of random folds.
        seed : int
            Of the assignment of stars to folds.
        starts, threads :
            As in `infer`.
        progress : callable, optional
            Called with the number of stars done.

        Returns
        -------
        validation.CrossValidation
        """
        return cross_validate(
            self, labels, flux, ivar, folds, seed, starts, threads, progress
        )

    def l1_path(self, labels, flux, ivar, strengths, threads=None, progress=None):
        """Train a path of L1 strengths at the s2 of the fit without penalty.

        Parameters
        ----------
        labels, flux, ivar :
            As in `train`.
        strengths : array_like, (L,)
            Lambda of chi^2 + Lambda sum abs(theta), the constant term free.
        threads, progress :
            As in `train`.

        Returns
        -------
        L1Path
        """
        strengths = np.atleast_1d(np.asarray(strengths, dtype=np.float64))
        if strengths.ndim != 1 or not (np.isfinite(strengths) & (strengths >= 0)).all():
            raise InputError(f"strengths are {strengths}; finite numbers >= 0 expected")
        free = copy(self)
        free.l1 = 0.0
        labels = label_array(labels, self.label_names)
        flux, ivar = clean_spectra(flux, ivar)
        free.train(labels, flux, ivar, wavelength=self.wavelength, threads=threads)
        groups, designs = free.designs(free.scale_labels(labels), flux.shape[1])
        theta, violation, status = train_path(
            flux,
            ivar,
            designs,
            pixel_blocks(groups),
            free.theta,
            free.s2,
            strengths,
            threads,
            progress,
        )
        free.status |= status
        return L1Path(free, strengths, theta, violation)

    def predict_flux(self, labels):
        """Predict the spectra of stars with given labels.

        Parameters
        ----------
        labels : array_like (S, K), one star (K,), or table

        Returns
        -------
        ndarray, (S, P) or (P,), float64
        """
        self._check_trained()
        one = isinstance(labels, (list, tuple, np.ndarray)) and np.ndim(labels) == 1
        one = one and getattr(labels, "dtype", np.dtype(float)).names is None
        labels = label_array(np.atleast_2d(labels) if one else labels, self.label_names)
        flux = self.terms.vectors(self.scale_labels(labels)) @ self.theta.T
        return flux[0] if one else flux

    def write(self, path, facts=None):
        """Write the model to a FITS file, atomically and with checksums.

        Parameters
        ----------
        path : str or Path
        facts : dict, optional
            Further keywords of the primary header: value or (value, comment).
        """
        self._check_trained()
        write_model(self, path, facts)

    @classmethod
    def read(cls, path):
        """Read a model written by `write`.

        Raises
        ------
        FileFormatError
            Where the file is cut short, damaged, of another version or not a model.
        """
        return read_model(cls, path)

    def scale_labels(self, labels):
        """Return ``(label - fiducial) / scale``, (N, K) (Nandakumar+2022 eq. 2)."""
        return (labels - self.fiducials) / self.scales

    @property
    def fit(self):
        """How a block of pixels is fitted, by the settings of the model."""
        if self.l1 > 0:
            return LassoFit(self.l1, self.scatter)
        return JointFit() if self.scatter == "likelihood" else MedianFit()

    def designs(self, x, n_pixels):
        """Groups of equally censored pixels and the design of each."""
        censors = None
        if self.censors:
            censors = np.zeros((n_pixels, len(self.label_names)), dtype=bool)
            for k, name in enumerate(self.label_names):
                if name in self.censors:
                    if len(self.censors[name]) != n_pixels:
                        raise InputError(
                            f"the censor of {name!r} has {len(self.censors[name])} "
                            f"pixels; the spectra have {n_pixels}"
                        )
                    censors[:, k] = self.censors[name]
        groups = pixel_groups(self.terms, n_pixels, censors)
        return groups, [Design.of(self.terms, x, kept) for _, kept in groups]

    def _learn_extent(self, x):
        """Keep what inference needs to know of the training labels (scaled, (N, K))."""
        self.starts = make_starts(x)
        points = np.ascontiguousarray(np.unique(x, axis=0).T)
        is_vertex = np.empty(points.shape[1], dtype=bool)
        hull_vertices(points, HULL_TOLERANCE, is_vertex)
        self.hull = np.ascontiguousarray(points[:, is_vertex])

    def _check_trained(self):
        if self.theta is None:
            raise InputError("the model is not trained: call train() or read() first")

    def _check_pixels(self, flux):
        self._check_trained()
        if flux.shape[1] != len(self.s2):
            raise InputError(
                f"the spectra have {flux.shape[1]} pixels; the model has {len(self.s2)}"
            )

    def _check_labels(self, labels):
        for k, name in enumerate(self.label_names):
            bad = np.flatnonzero(~np.isfinite(labels[:, k]))
            if len(bad):
                raise InputError(
                    f"label {name!r} is missing or not finite for {len(bad)} of "
                    f"{len(labels)} stars (first: row {bad[0]}): remove these stars"
                )

    def _check_training(self, labels, flux, ivar):
        if len(labels) != len(flux):
            raise InputError(
                f"there are labels of {len(labels)} stars but spectra of {len(flux)}"
            )
        self._check_labels(labels)
        if len(labels) <= len(self.terms):
            raise InputError(
                f"{len(labels)} stars cannot determine {len(self.terms)} terms: "
                "use more stars or fewer terms"
            )
        empty = int((ivar.max(axis=1, initial=0) == 0).sum())
        if empty:
            warnings.warn(
                f"{empty} of {len(flux)} training spectra have no usable pixel",
                TrainingWarning,
                stacklevel=3,
            )
