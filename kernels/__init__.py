"""Kernels of The Cannon: arithmetic on plain arrays, compiled by Numba.

The public names, in the order of the work. README.md of this folder has the
mathematics; the ``reference*`` modules have a plain NumPy twin of every kernel.
"""

from .cholesky import factor, factor_dropping, invert, solve
from .continuum import (
    clip_outliers,
    divide_continuum,
    equal_weights,
    fit_linear,
    fit_region,
)
from .finish import finish_spectra
from .folds import leave_folds_out, weight_powers
from .gate import clean_rows, count_bad, keep_rows
from .hull import confine_spectra, hull_vertices, nearest_in_hull, outside_hull
from .lasso import coordinate_descent, lasso_path, violation
from .least_squares import (
    factor_normal,
    gather_pixels,
    solve_rows,
    train_weights,
)
from .levenberg import (
    choose_starts,
    descend,
    descend_spectra,
    is_known,
    rank_minima,
)
from .medians import median_snr
from .monomials import (
    complete_exponents,
    derivative_tables,
    label_jacobian,
    label_vectors,
    monomial_program,
    monomial_values,
)
from .polynomial import (
    accumulate_pairs,
    evaluate,
    gather_hessian,
    hessian_table,
    pair_products,
    pair_table,
)
from .resample import resample_row
from .scatter import joint_step, median_scatter, scatter_sums, start_scatter
from .stream import normal_equations, stream_spectra
from .weights import chunk_theta, weigh_residuals, weigh_spectra

__all__ = [
    "accumulate_pairs",
    "choose_starts",
    "chunk_theta",
    "clean_rows",
    "clip_outliers",
    "complete_exponents",
    "confine_spectra",
    "coordinate_descent",
    "count_bad",
    "derivative_tables",
    "descend",
    "descend_spectra",
    "divide_continuum",
    "equal_weights",
    "evaluate",
    "factor",
    "factor_dropping",
    "factor_normal",
    "finish_spectra",
    "fit_linear",
    "fit_region",
    "gather_hessian",
    "gather_pixels",
    "hessian_table",
    "hull_vertices",
    "invert",
    "is_known",
    "joint_step",
    "keep_rows",
    "label_jacobian",
    "label_vectors",
    "lasso_path",
    "leave_folds_out",
    "median_scatter",
    "median_snr",
    "monomial_program",
    "monomial_values",
    "nearest_in_hull",
    "normal_equations",
    "outside_hull",
    "pair_products",
    "pair_table",
    "rank_minima",
    "resample_row",
    "scatter_sums",
    "solve",
    "solve_rows",
    "start_scatter",
    "stream_spectra",
    "train_weights",
    "violation",
    "weigh_residuals",
    "weigh_spectra",
    "weight_powers",
]
