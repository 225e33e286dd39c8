"""Terms of a model: their names, exponents and the tables the kernels work from."""

import re
from functools import cached_property
from math import comb

import numpy as np

from .errors import InputError, check_whole
from .kernels.monomials import (
    complete_exponents,
    derivative_tables,
    label_vectors,
    monomial_program,
)
from .kernels.polynomial import hessian_table, pair_table

MOST_DEGREE = 20  # of a term
MOST_TERMS = 2000  # a table of their products is kept


class Terms:
    """A table of monomials in the labels and what follows from it.

    Parameters
    ----------
    label_names : sequence of str
        The K labels.
    exponents : array_like, (T, K), int
        One row per term; the first is the constant.

    Attributes
    ----------
    names : list of str
        As AnniesLasso writes them: "1", "TEFF", "TEFF^2", "TEFF*LOGG".
    """

    def __init__(self, label_names, exponents):
        self.label_names = tuple(label_names)
        self.exponents = np.array(exponents, dtype=np.int64)

    @classmethod
    def complete(cls, label_names, degree):
        """Return all monomials up to a degree: 1; linear; products row by row.

        Parameters
        ----------
        label_names : sequence of K str
        degree : int
            1 or more.

        Returns
        -------
        Terms

        Raises
        ------
        InputError
            The degree is no such number, or there are more than MOST_TERMS terms.
        """
        degree = check_whole(degree, "degree")
        _check_size(degree, 0)
        _check_size(degree, comb(len(label_names) + degree, degree))
        return cls(label_names, complete_exponents(len(label_names), degree))

    @classmethod
    def parse(cls, label_names, terms):
        """Return terms from strings or from a table of exponents.

        Label names are matched as written, else without regard to case. The constant
        term is put first whether or not it is listed.

        Parameters
        ----------
        label_names : sequence of K str
        terms : sequence of str, or array_like (T, K) of int
            "TEFF^2", "TEFF*LOGG", or exponents.

        Returns
        -------
        Terms

        Raises
        ------
        InputError
            A term cannot be read, names no label or is there twice; there are none, too
            many, or of too high a degree.
        """
        if len(terms) and all(isinstance(term, str) for term in terms):
            rows = [_parse_term(term, label_names) for term in terms]
        else:
            rows = _exponent_rows(terms, len(label_names))
        rows = [row for row in rows if any(row)]
        if not rows:
            raise InputError("terms are empty: give at least one term with a label")
        if len(set(rows)) < len(rows):
            twice = next(row for row in rows if rows.count(row) > 1)
            raise InputError(f"term {_term_name(twice, label_names)!r} is listed twice")
        largest = max(rows, key=sum)
        _check_size(sum(largest), len(rows) + 1, _term_name(largest, label_names))
        return cls(label_names, [(0,) * len(label_names), *rows])

    def __len__(self):
        return len(self.exponents)

    @property
    def names(self):
        """Names of the T terms, list of str."""
        return [_term_name(row, self.label_names) for row in self.exponents]

    @cached_property
    def _program(self):
        return monomial_program(self.exponents)

    @cached_property
    def _pair_program(self):
        return monomial_program(self.pairs[0])

    @cached_property
    def derivatives(self):
        """Program, first and second derivatives (`derivative_tables`)."""
        return derivative_tables(self.exponents)

    @cached_property
    def pairs(self):
        """Distinct products of two terms and their index (`pair_table`)."""
        return pair_table(self.exponents)

    @cached_property
    def hessian(self):
        """Program, gather table and degree of chi^2 (`hessian_table`)."""
        return hessian_table(self.pairs[0])

    def vectors(self, x):
        """Return label vectors, (N, T) float64, of scaled labels ``x`` (N, K)."""
        return _evaluate(x, *self._program)

    def pair_vectors(self, x):
        """Return distinct products of two terms, (N, Q), of scaled labels (N, K)."""
        return _evaluate(x, *self._pair_program)

    def subset(self, kept):
        """Return the terms where the boolean array ``kept`` (T,) is true."""
        return Terms(self.label_names, self.exponents[kept])

    def containing(self, labels):
        """Return which terms, (T,) bool, hold a label that ``labels`` (K,) marks."""
        return (self.exponents[:, np.asarray(labels, dtype=bool)] > 0).any(axis=1)


def _evaluate(x, program, where):
    x = np.ascontiguousarray(x, dtype=np.float64)
    out = np.empty((x.shape[0], where.shape[0]))
    label_vectors(x, program, where, np.empty(program.shape[0]), out)
    return out


def _check_size(degree, n_terms, name="of degree"):
    """Refuse terms whose tables would not fit any memory."""
    if degree > MOST_DEGREE:
        raise InputError(f"term {name} has degree {degree}; at most {MOST_DEGREE}")
    if n_terms > MOST_TERMS:
        raise InputError(
            f"{n_terms} terms; at most {MOST_TERMS} are possible: use fewer labels, a "
            "lower degree, or name the terms"
        )


def _exponent_rows(terms, n_labels):
    table = np.asarray(terms)
    good = table.ndim == 2 and table.shape[1] == n_labels and table.dtype.kind in "iu"
    if not good or (table < 0).any():
        raise InputError(
            f"terms of shape {table.shape} and type {table.dtype}: expected strings "
            f"such as 'TEFF^2' or exponents (terms, {n_labels}), integers >= 0"
        )
    return [tuple(int(e) for e in row) for row in table]


def _parse_term(term, label_names):
    exponents = [0] * len(label_names)
    if term.strip() == "1":
        return tuple(exponents)
    for part in term.split("*"):
        match = re.fullmatch(r"\s*(.+?)\s*(?:\^\s*(\d+))?\s*", part)
        if match is None:
            raise InputError(
                f"term {term!r} is not of the form 'TEFF^2' or 'TEFF*LOGG'"
            )
        exponents[_find_label(match[1], label_names, term)] += int(match[2] or 1)
    return tuple(exponents)


def _find_label(name, label_names, term):
    if name in label_names:
        return label_names.index(name)
    folded = [label.lower() for label in label_names]
    if folded.count(name.lower()) == 1:
        return folded.index(name.lower())
    raise InputError(
        f"term {term!r} names the label {name!r}; "
        f"the labels are {', '.join(label_names)}"
    )


def _term_name(row, label_names):
    parts = [
        name if e == 1 else f"{name}^{e}"
        for name, e in zip(label_names, row, strict=True)
        if e > 0
    ]
    return "*".join(parts) or "1"
