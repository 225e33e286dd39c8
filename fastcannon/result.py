"""The result of an inference: labels, errors and quality of every spectrum."""

from dataclasses import dataclass

import numpy as np

STAR_STATUS = {
    "NO_DATA": 1,  # not more usable pixels than labels: labels are NaN
    "NOT_CONVERGED": 2,  # the descent ended before its steps were negligible
    "OUTSIDE_HULL": 4,  # the optimum is outside the hull of the training labels
    "SINGULAR": 8,  # the spectrum does not constrain every label: no errors
}
UNKNOWN = STAR_STATUS["NO_DATA"] | STAR_STATUS["NOT_CONVERGED"]  # no labels to use


@dataclass
class InferenceResult:
    """Labels of S spectra with their errors and quality.

    Attributes
    ----------
    label_names : tuple of str
    labels : ndarray, (S, K)
        Optimum without bounds, in label units; NaN where there is none.
    covariance : ndarray, (S, K, K)
        Formal, ``(J^T W J)^-1`` in label units.
    chi2, r_chi2 : ndarray, (S,)
        At the optimum; r_chi2 = chi2 / (pixels used - K - 1).
    snr : ndarray, (S,)
        median(flux sqrt(w)) with the scatter in w (AnniesLasso's definition).
    n_pixels : ndarray, (S,), int64
        Pixels with weight above zero.
    minima : ndarray, (S,), int64
        Distinct minima found within 9 of the lowest chi2.
    inside_labels, inside_chi2 : ndarray, (S, K), (S,)
        Best point inside the hull of the training labels; the optimum where that is
        inside, or where the model does not know its training labels.
    status : ndarray, (S,), int64
        Bits of STAR_STATUS.
    bad_pixels : int
        Pixels of all spectra that held no usable number and had zero weight.
    """

    label_names: tuple
    labels: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray
    r_chi2: np.ndarray
    snr: np.ndarray
    n_pixels: np.ndarray
    minima: np.ndarray
    inside_labels: np.ndarray
    inside_chi2: np.ndarray
    status: np.ndarray
    bad_pixels: int = 0

    @classmethod
    def empty(cls, label_names, n_spectra):
        k = len(label_names)
        columns = {
            "labels": (k,),
            "covariance": (k, k),
            "chi2": (),
            "r_chi2": (),
            "snr": (),
            "inside_labels": (k,),
            "inside_chi2": (),
        }
        made = {name: np.full((n_spectra, *s), np.nan) for name, s in columns.items()}
        for name in ("n_pixels", "minima", "status"):
            made[name] = np.zeros(n_spectra, dtype=np.int64)
        return cls(tuple(label_names), **made)

    def __len__(self):
        return len(self.labels)

    @property
    def errors(self):
        """Formal errors of the labels, (S, K), label units."""
        return np.sqrt(np.einsum("skk->sk", self.covariance))

    def put(self, rows, other):
        """Copy another result into some rows of this one."""
        for name, values in vars(other).items():
            if isinstance(values, np.ndarray):
                getattr(self, name)[rows] = values

    def to_table(self):
        """Return an astropy Table, one row per spectrum."""
        from astropy.table import Table

        table = Table()
        for k, name in enumerate(self.label_names):
            table[name] = self.labels[:, k]
            table[f"e_{name}"] = self.errors[:, k]
        for name in ("chi2", "r_chi2", "snr", "n_pixels", "minima", "status"):
            table[name] = getattr(self, name)
        for k, name in enumerate(self.label_names):
            table[f"{name}_inside"] = self.inside_labels[:, k]
        table["chi2_inside"] = self.inside_chi2
        table["covariance"] = self.covariance
        return table
