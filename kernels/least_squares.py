"""theta of every pixel at fixed scatter: weighted least squares on moments.

The normal matrix of a pixel, ``A_ij = sum_n w_n v_i v_j``, holds weighted moments
of the labels: its entries are those of ``moments = w @ M`` with one column per
distinct monomial ``v_i v_j`` (`polynomial.pair_table`). Arrays are pixel-major
(B pixels, N stars), so that sums over stars run along memory.
"""

from .cholesky import factor_dropping, solve
from .compile import kernel


@kernel
def gather_pixels(spectra, stars, pixels, block_out):
    """Copy some pixels of some stars into a pixel-major block.

    Parameters
    ----------
    spectra : ndarray, (all stars, all pixels), float32
    stars : ndarray, (N,), int64
    pixels : ndarray, (B,), int64
    block_out : ndarray, (B, N), float32
    """
    tile = 16  # stars at a time, so that their cache lines are used whole
    for start in range(0, stars.shape[0], tile):
        stop = min(start + tile, stars.shape[0])
        for b in range(pixels.shape[0]):
            for n in range(start, stop):
                block_out[b, n] = spectra[stars[n], pixels[b]]


@kernel
def train_weights(ivar, s2, w_out):
    """Compute the weights of a block of pixels over all stars.

    Parameters
    ----------
    ivar : ndarray, (B, N), float32
        Inverse variance, 0 where there is no information.
    s2 : ndarray, (B,)
        Finite scatter.
    w_out : ndarray, (B, N)
        ``ivar / (1 + ivar s2)``.
    """
    for b in range(ivar.shape[0]):
        s = s2[b]
        for n in range(ivar.shape[1]):
            w_out[b, n] = ivar[b, n] / (1.0 + ivar[b, n] * s)


@kernel
def factor_normal(moments, index, tolerance, lower_out, dropped_out):
    """Factor the normal matrices of a block of pixels.

    Parameters
    ----------
    moments : ndarray, (B, Q)
        Weighted moments of the labels.
    index : ndarray, (T, T), int64
        Moment of each product of terms (`polynomial.pair_table`).
    tolerance : float
        Of `cholesky.factor_dropping`.
    lower_out : ndarray, (B, T, T)
        Factors.
    dropped_out : ndarray, (B,), int64
        Terms without information of their own at this pixel.
    """
    n_terms = index.shape[0]
    for b in range(moments.shape[0]):
        lower = lower_out[b]
        for i in range(n_terms):
            for j in range(i + 1):
                lower[i, j] = moments[b, index[i, j]]
        dropped_out[b] = factor_dropping(lower, n_terms, tolerance, lower)


@kernel
def solve_rows(lower, rows_inout):
    """Solve the factored normal equations of a block of pixels in place.

    Parameters
    ----------
    lower : ndarray, (B, T, T)
    rows_inout : ndarray, (B, T)
    """
    for b in range(rows_inout.shape[0]):
        solve(lower[b], rows_inout.shape[1], rows_inout[b])
