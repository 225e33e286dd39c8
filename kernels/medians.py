"""Signal to noise of spectra: exact medians by counting, without sorting."""

import numpy as np

from .compile import kernel

FEW = 16  # so many candidates are sorted instead of counted further
CHUNK = 64  # pixels looked through at once for candidates
MOST_COUNTS = 60


@kernel
def _count_at_most(y, pivot):
    # counted in float32 (exact to 2**24), which fills the vector lanes of y
    count = np.float32(0)
    for p in range(y.shape[0]):
        count += np.float32(1) if y[p] <= pivot else np.float32(0)
    return int(count)


@kernel
def _keep_between(y, low, high, kept_out):
    """Copy the values above low and at most high, and return how many they are."""
    kept = 0
    chunks = y.reshape(-1, CHUNK)
    for k in range(chunks.shape[0]):
        hits = np.float32(0)
        for c in range(CHUNK):
            inside = (chunks[k, c] > low) & (chunks[k, c] <= high)
            hits += np.float32(1) if inside else np.float32(0)
        if hits > 0:
            for c in range(CHUNK):
                value = chunks[k, c]
                kept_out[kept] = value
                kept += 1 if (value > low) & (value <= high) else 0
    return kept


@kernel
def _neighbours(y, pivot):
    """Return the largest value at most the pivot and the smallest above it."""
    below = np.float32(-np.inf)
    above = np.float32(np.inf)
    for p in range(y.shape[0]):
        below = max(below, y[p] if y[p] <= pivot else below)
        above = min(above, y[p] if y[p] > pivot else above)
    return below, above


@kernel
def _middle(y, n, mean, deviation, work_kept):
    """Return the two middle values of the n finite numbers in y (the rest is inf)."""
    rank = (n - 1) // 2
    low = np.float32(mean - 1.001 * deviation)
    high = np.float32(mean + 1.001 * deviation)
    n_low = _count_at_most(y, low)
    n_high = _count_at_most(y, high)
    if not (n_low <= rank and n_high >= rank + 2):
        low = np.float32(-np.inf)
        n_low = 0
        high = np.float32(3.0e38)
        n_high = n
    for step in range(MOST_COUNTS):
        if n_high - n_low <= FEW or low == -np.inf:
            break
        # interpolate in the counts; bisect now and then, for the sake of outliers
        part = (rank + 1 - n_low) / (n_high - n_low)
        part = 0.5 if step % 3 == 2 else min(max(part, 0.02), 0.98)
        pivot = np.float32(low + (high - low) * part)
        count = _count_at_most(y, pivot)
        if count <= rank:
            low = pivot
            n_low = count
        elif count >= rank + 2:
            high = pivot
            n_high = count
        else:
            return _neighbours(y, pivot)  # it lies between the two
    kept = _keep_between(y, low, high, work_kept)
    candidates = np.sort(work_kept[:kept])
    first = candidates[rank - n_low]
    return first, candidates[min(rank - n_low + 1, kept - 1)]


@kernel
def _signed_root(y):
    return y**0.5 if y >= 0.0 else -((-y) ** 0.5)


@kernel
def median_snr(flux, w, work_y, work_kept, snr_out):
    """Compute the signal to noise of spectra, median(flux sqrt(w)) where w > 0.

    The definition of Casey+2016 (AnniesLasso); w includes the scatter. The median is
    that of y = flux abs(flux) w, whose order is the same and needs no root.

    Parameters
    ----------
    flux : ndarray, (S, P), float32
    w : ndarray, (S, P)
        Weights.
    work_y : ndarray, (at least P, a multiple of 64), float32
        Scratch.
    work_kept : ndarray, (one more), float32
        Scratch.
    snr_out : ndarray, (S,)
        NaN where a spectrum has no pixel with weight.
    """
    work_y[flux.shape[1] :] = np.inf
    for s in range(flux.shape[0]):
        used = np.float32(0)
        total = np.float32(0)
        square = np.float32(0)
        for p in range(flux.shape[1]):
            f = flux[s, p]
            weight = np.float32(w[s, p])
            y = f * abs(f) * weight
            work_y[p] = y if weight > 0 else np.float32(np.inf)
            used += np.float32(1) if weight > 0 else np.float32(0)
            total += y
            square += y * y
        n = int(used)
        if n == 0:
            snr_out[s] = np.nan
            continue
        mean = total / n
        deviation = max(square / n - mean * mean, 0.0) ** 0.5
        first, second = _middle(work_y, n, mean, deviation, work_kept)
        snr_out[s] = _signed_root(np.float64(first))
        if n % 2 == 0:
            snr_out[s] = 0.5 * (snr_out[s] + _signed_root(np.float64(second)))
