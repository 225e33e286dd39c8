"""Continuum fits of rows of spectra, linear in their coefficients.

The continuum is ``coefficients @ basis`` with a basis that all spectra share, fitted
to given continuum pixels by weighted least squares. Weights from ivar know the noise
where a survey estimates errors from the noisy counts: a pixel that is high by chance
weighs less, and the continuum comes out low by 1 / (S/N)^2. Equal weights do not.
"""

import numpy as np

from .cholesky import factor_dropping, solve
from .compile import kernel

# Status of a fit
FITTED = 0  # The coefficients are the optimum.
TOO_FEW_PIXELS = 1  # Fewer continuum pixels with information than coefficients.
DEPENDENT = 2  # The pixels with information do not determine every coefficient.

# A pivot that loses more digits than this holds rounding errors only. The basis is
# near orthonormal, so that a well placed fit loses hardly any.
PIVOT_TOLERANCE = 1e-10
FLOAT32_MAX = 3.4028234663852886e38
MAD_TO_SIGMA = 1.4826  # of normal deviates


@kernel
def fit_linear(flux, weight, basis, work_gram, work_weighted, coefficients_out):
    """Fit the continuum of one spectrum by weighted linear least squares.

    Parameters
    ----------
    flux : ndarray, (n,)
        Finite flux at the continuum pixels.
    weight : ndarray, (n,)
        0 where there is no information.
    basis : ndarray, (T, n)
        Basis functions at the continuum pixels.
    work_gram : ndarray, (T, T)
        Scratch.
    work_weighted : ndarray, (n,)
        Scratch.
    coefficients_out : ndarray, (T,)
        NaN where the fit failed.

    Returns
    -------
    int
        Status.
    """
    n_terms, n_pixels = basis.shape
    used = 0
    for p in range(n_pixels):
        used += 1 if weight[p] > 0.0 else 0
    # gram = (basis * weight) @ basis.T; coefficients_out = (basis * weight) @ flux
    for t in range(n_terms):
        total = 0.0
        for p in range(n_pixels):
            work_weighted[p] = basis[t, p] * weight[p]
            total += work_weighted[p] * flux[p]
        coefficients_out[t] = total
        for u in range(t + 1):
            total = 0.0
            for p in range(n_pixels):
                total += work_weighted[p] * basis[u, p]
            work_gram[t, u] = total
    status = FITTED
    if used < n_terms:
        status = TOO_FEW_PIXELS
    elif factor_dropping(work_gram, n_terms, PIVOT_TOLERANCE, work_gram) > 0:
        status = DEPENDENT
    if status == FITTED:
        solve(work_gram, n_terms, coefficients_out)
    else:
        for t in range(n_terms):
            coefficients_out[t] = np.nan
    return status


@kernel
def _select(values, n, rank):
    """Return the value of a rank, from 0, among the first n; changes their order."""
    low = 0
    high = n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i = low
        j = high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@kernel
def equal_weights(faintest, work_kept, weight_inout):
    """Replace ivar by weights that do not know the noise: 1, or 0 for poor pixels.

    Parameters
    ----------
    faintest : float
        Smallest ivar that counts, relative to the median of those above 0.
    work_kept : ndarray, (n,)
        Scratch.
    weight_inout : ndarray, (n,)
        Inverse variance, finite and >= 0, on entry.
    """
    n_pixels = weight_inout.shape[0]
    largest = 0.0
    smallest = np.inf
    for p in range(n_pixels):
        largest = max(largest, weight_inout[p])
        smallest = min(smallest, weight_inout[p] if weight_inout[p] > 0.0 else np.inf)
    limit = 0.0
    if smallest < faintest * largest:  # else none can be below the limit
        kept = 0
        for p in range(n_pixels):
            if weight_inout[p] > 0.0:
                work_kept[kept] = weight_inout[p]
                kept += 1
        limit = faintest * _select(work_kept, kept, kept // 2)
    for p in range(n_pixels):
        good = (weight_inout[p] > 0.0) & (weight_inout[p] >= limit)
        weight_inout[p] = 1.0 if good else 0.0


@kernel
def clip_outliers(flux, basis, coefficients, clip, work_residual, weight_inout):
    """Give pixels far from a fit weight 0, above and below it alike.

    Parameters
    ----------
    flux : ndarray, (n,)
    basis : ndarray, (T, n)
    coefficients : ndarray, (T,)
        Of the fit.
    clip : float
        Largest residual, in units of 1.4826 times the median absolute residual.
    work_residual : ndarray, (2, n)
        Scratch.
    weight_inout : ndarray, (n,)

    Returns
    -------
    int
        Number of pixels clipped.
    """
    n_terms, n_pixels = basis.shape
    residual = work_residual[0]
    kept_residuals = work_residual[1]
    # residual = abs(flux - coefficients @ basis)
    for p in range(n_pixels):
        residual[p] = flux[p]
    for t in range(n_terms):
        for p in range(n_pixels):
            residual[p] -= coefficients[t] * basis[t, p]
    largest = 0.0
    for p in range(n_pixels):
        residual[p] = abs(residual[p]) if weight_inout[p] > 0.0 else -1.0
        largest = max(largest, residual[p])
    # Mostly half of the pixels lie so far out that nothing can be clipped: the exact
    # median is needed only where they do not.
    far = 0.0
    kept = 0.0
    for p in range(n_pixels):
        far += 1.0 if residual[p] * (clip * MAD_TO_SIGMA) > largest else 0.0
        kept += 1.0 if residual[p] >= 0.0 else 0.0
    if far >= kept - kept // 2.0:
        return 0
    count = 0
    for p in range(n_pixels):
        if residual[p] >= 0.0:
            kept_residuals[count] = residual[p]
            count += 1
    limit = clip * MAD_TO_SIGMA * _select(kept_residuals, count, count // 2)
    clipped = 0
    for p in range(n_pixels):
        if residual[p] > limit:
            weight_inout[p] = 0.0
            clipped += 1
    return clipped


@kernel
def fit_region(
    flux,
    ivar,
    pixels,
    basis,
    faintest,
    clip,
    work_gram,
    work_pixels,
    coefficients_out,
    status_out,
):
    """Fit the continuum of a region of every spectrum of a block.

    Pixels whose flux is not finite, or whose ivar is not finite or below 0, have
    weight 0.

    Parameters
    ----------
    flux : ndarray, (S, P)
    ivar : ndarray, (S, P)
        Inverse variance of the flux, 0 where there is no information.
    pixels : ndarray, (n,), int64
        Continuum pixels of the region.
    basis : ndarray, (T, n)
        Basis functions there.
    faintest : float
        As in `equal_weights`; 0 for weights from ivar.
    clip : float
        As in `clip_outliers`: pixels beyond are clipped, once, and the rest is fitted
        again; inf for no clipping.
    work_gram : ndarray, (T + 1, T)
        Scratch.
    work_pixels : ndarray, (5, n)
        Scratch.
    coefficients_out : ndarray, (S, T)
        NaN in the rows that failed.
    status_out : ndarray, (S,), int64
        Status of each fit.
    """
    n_terms, n_pixels = basis.shape
    chosen = work_pixels[0]
    weight = work_pixels[1]
    again = work_gram[n_terms]
    for s in range(flux.shape[0]):
        for i in range(n_pixels):
            f = np.float64(flux[s, pixels[i]])
            v = np.float64(ivar[s, pixels[i]])
            good = (abs(f) < np.inf) & (v >= 0.0) & (v < np.inf)
            chosen[i] = f if good else 0.0
            weight[i] = v if good else 0.0
        if faintest > 0.0:
            equal_weights(faintest, work_pixels[2], weight)
        found = coefficients_out[s]
        status = fit_linear(chosen, weight, basis, work_gram, work_pixels[2], found)
        status_out[s] = status
        if status != FITTED or not clip < np.inf:
            continue
        if clip_outliers(chosen, basis, found, clip, work_pixels[3:], weight) > 0:
            status = fit_linear(chosen, weight, basis, work_gram, work_pixels[2], again)
            if status == FITTED:  # else the fit to all pixels stands
                for t in range(n_terms):
                    found[t] = again[t]


@kernel
def _count_unusable(flux, ivar):
    """Count pixels of which flux or ivar is no usable number, but ivar is not 0."""
    bad = 0
    for p in range(flux.shape[0]):
        usable = (abs(flux[p]) < np.inf) & (ivar[p] >= 0.0) & (ivar[p] < np.inf)
        bad += 0 if usable | (ivar[p] == 0.0) else 1
    return bad


@kernel
def divide_continuum(flux, ivar, continuum, first, largest, flux_out, ivar_out):
    """Divide a run of pixels of a block of spectra by their continua.

    Where the continuum is not positive and finite, or a result is no finite float32,
    the pixel gets flux 1 and ivar 0.

    Parameters
    ----------
    flux : ndarray, (S, P)
        Flux.
    ivar : ndarray, (S, P)
        Inverse variance of the flux.
    continuum : ndarray, (S, n)
        Continuum in the run, NaN where there is none.
    first : int
        Pixel at which the run begins.
    largest : float
        No ivar is made larger than this.
    flux_out : ndarray, (S, P), float32
        ``flux / continuum`` in the run.
    ivar_out : ndarray, (S, P), float32
        ``ivar * continuum**2`` in the run, at most ``largest``.

    Returns
    -------
    int
        Pixels with no usable number (flux not finite; ivar not finite or negative)
        whose ivar is not 0.
    """
    last = first + continuum.shape[1]
    bad = 0
    for s in range(flux.shape[0]):
        # slices, because an index first + p might be negative for all the compiler
        # knows, and the loop is then not vectorised
        part = flux[s, first:last]
        part_ivar = ivar[s, first:last]
        part_out = flux_out[s, first:last]
        part_ivar_out = ivar_out[s, first:last]
        lost = 0.0
        for p in range(continuum.shape[1]):
            level = continuum[s, p]
            v = np.float64(part_ivar[p])
            ratio = part[p] / level
            scaled = v * level * level
            # A comparison with NaN is False.
            good = (level > 0.0) & (abs(ratio) <= FLOAT32_MAX)
            good = good & (scaled >= 0.0) & (scaled <= FLOAT32_MAX)
            part_out[p] = np.float32(ratio if good else 1.0)
            part_ivar_out[p] = np.float32(min(scaled, largest) if good else 0.0)
            lost += 0.0 if good | (v == 0.0) else 1.0
        if lost > 0.0:
            bad += _count_unusable(part, part_ivar)
    return bad
