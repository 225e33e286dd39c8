"""Cholesky factors of small symmetric matrices, plain and rank revealing."""

from .compile import kernel


@kernel
def factor(matrix, n, lower_out):
    """Factor a positive definite matrix, ``matrix = L L^T``.

    Parameters
    ----------
    matrix : ndarray, (>=n, >=n)
        Symmetric; the lower triangle is read.
    n : int
        Size in use.
    lower_out : ndarray, (>=n, >=n)
        L in the lower triangle; the inverse of its diagonal on the diagonal. May be
        ``matrix`` itself.

    Returns
    -------
    int
        0, or 1 where the matrix is not positive definite.
    """
    for i in range(n):
        for j in range(i):
            total = matrix[i, j]
            for k in range(j):
                total -= lower_out[i, k] * lower_out[j, k]
            lower_out[i, j] = total * lower_out[j, j]
        total = matrix[i, i]
        for k in range(i):
            total -= lower_out[i, k] * lower_out[i, k]
        if not total > 0.0:
            return 1
        lower_out[i, i] = 1.0 / total**0.5
    return 0


@kernel
def factor_dropping(matrix, n, tolerance, lower_out):
    """Factor a semi-definite matrix, dropping rows that depend on earlier ones.

    A row whose pivot falls below ``tolerance`` times its diagonal element is
    dropped: its row and column of L are zero, so that `solve` gives it 0.

    Parameters
    ----------
    matrix : ndarray, (>=n, >=n)
    n : int
    tolerance : float
        Smallest accepted pivot relative to the diagonal element.
    lower_out : ndarray, (>=n, >=n)
        As in `factor`. May be ``matrix`` itself.

    Returns
    -------
    int
        Number of dropped rows.
    """
    dropped = 0
    for i in range(n):
        diagonal = matrix[i, i]
        for j in range(i):
            total = matrix[i, j]
            for k in range(j):
                total -= lower_out[i, k] * lower_out[j, k]
            lower_out[i, j] = total * lower_out[j, j]
        total = diagonal
        for k in range(i):
            total -= lower_out[i, k] * lower_out[i, k]
        if total > tolerance * diagonal and total > 0.0:
            lower_out[i, i] = 1.0 / total**0.5
        else:
            dropped += 1
            for j in range(i + 1):
                lower_out[i, j] = 0.0
    return dropped


@kernel
def solve(lower, n, x_inout):
    """Solve ``L L^T x = b`` in place.

    Parameters
    ----------
    lower : ndarray, (>=n, >=n)
        Of `factor` or `factor_dropping`.
    n : int
    x_inout : ndarray, (>=n,)
        b on entry, x on return.
    """
    for i in range(n):
        total = x_inout[i]
        for k in range(i):
            total -= lower[i, k] * x_inout[k]
        x_inout[i] = total * lower[i, i]
    for i in range(n - 1, -1, -1):
        total = x_inout[i]
        for k in range(i + 1, n):
            total -= lower[k, i] * x_inout[k]
        x_inout[i] = total * lower[i, i]


@kernel
def invert(lower, n, work_x, inverse_out):
    """Compute the inverse of a factored matrix.

    Parameters
    ----------
    lower : ndarray, (>=n, >=n)
    n : int
    work_x : ndarray, (>=n,)
        Scratch.
    inverse_out : ndarray, (>=n, >=n)
    """
    for j in range(n):
        for i in range(n):
            work_x[i] = 1.0 if i == j else 0.0
        solve(lower, n, work_x)
        for i in range(n):
            inverse_out[i, j] = work_x[i]
