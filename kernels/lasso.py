"""theta of a pixel with an L1 penalty, on its normal matrix alone.

Minimises ``theta^T A theta - 2 b^T theta + strength sum_{t>0} abs(theta_t)``, which is
chi^2 + Lambda sum abs(theta) (Casey+2016 eq. 5) up to a constant; the constant term is
free. Coordinate descent finds which terms are zero; then the rest is solved exactly,
stopping wherever a coefficient changes sign. The stars are not touched again.
"""

import numpy as np

from .cholesky import factor_dropping, solve
from .compile import kernel

CONVERGED = 0
NOT_CONVERGED = 1
SWEEPS = 3


@kernel
def violation(normal, right, strength, theta):
    """Certificate of optimality: the largest violation of the sub-gradient conditions.

    Parameters
    ----------
    normal : ndarray, (T, T)
        A, sum of w v v^T.
    right : ndarray, (T,)
        b, sum of w f v.
    strength : float
        Lambda.
    theta : ndarray, (T,)

    Returns
    -------
    float
        Relative to the largest gradient at theta = 0; 0 at the optimum.
    """
    n_terms = right.shape[0]
    largest = 0.0
    worst = 0.0
    for t in range(n_terms):
        slope = -right[t]
        for j in range(n_terms):
            slope += normal[t, j] * theta[j]
        slope *= 2.0
        largest = max(largest, abs(2.0 * right[t]))
        if t == 0:
            worst = max(worst, abs(slope))
        elif theta[t] > 0.0:
            worst = max(worst, abs(slope + strength))
        elif theta[t] < 0.0:
            worst = max(worst, abs(slope - strength))
        else:
            worst = max(worst, abs(slope) - strength)
    return worst / largest if largest > 0.0 else 0.0


@kernel
def _sweep(normal, right, strength, theta):
    """One pass of coordinate descent over all terms."""
    n_terms = right.shape[0]
    for t in range(n_terms):
        if not normal[t, t] > 0.0:
            theta[t] = 0.0
            continue
        total = right[t] + normal[t, t] * theta[t]
        for j in range(n_terms):
            total -= normal[t, j] * theta[j]
        threshold = 0.5 * strength if t > 0 else 0.0
        if total > threshold:
            theta[t] = (total - threshold) / normal[t, t]
        elif total < -threshold:
            theta[t] = (total + threshold) / normal[t, t]
        else:
            theta[t] = 0.0


@kernel
def _solve_active(normal, right, strength, work_lower, work_wanted, work_active, theta):
    """Move to the minimum over the non-zero terms, dropping those that reach zero."""
    n_terms = right.shape[0]
    while True:  # every round but the last drops a term
        n = 0
        for t in range(n_terms):
            if t == 0 or theta[t] != 0.0:
                work_active[n] = t
                n += 1
        for a in range(n):
            t = work_active[a]
            sign = 0.0 if t == 0 else (1.0 if theta[t] > 0.0 else -1.0)
            work_wanted[a] = right[t] - 0.5 * strength * sign
            for b in range(a + 1):
                work_lower[a, b] = normal[t, work_active[b]]
        factor_dropping(work_lower, n, 1e-13, work_lower)
        solve(work_lower, n, work_wanted)
        # the objective is smooth until the first coefficient changes sign
        part = 1.0
        first = -1
        for a in range(1, n):
            now = theta[work_active[a]]
            if now * work_wanted[a] <= 0.0:
                crossing = now / (now - work_wanted[a])
                if crossing < part:
                    part = crossing
                    first = a
        for a in range(n):
            t = work_active[a]
            theta[t] += part * (work_wanted[a] - theta[t])
        if first < 0:
            return
        theta[work_active[first]] = 0.0


@kernel
def coordinate_descent(
    normal,
    right,
    strength,
    tolerance,
    most_rounds,
    work_lower,
    work,
    work_active,
    theta_inout,
):
    """Minimise the penalised chi^2 of one pixel.

    Parameters
    ----------
    normal, right, strength :
        See `violation`.
    tolerance : float
        Largest violation to accept.
    most_rounds : int
        Rounds of sweeps and exact solution allowed.
    work_lower : ndarray, (T, T)
        Scratch.
    work : ndarray, (T,)
        Scratch.
    work_active : ndarray, (T,), int64
        Scratch.
    theta_inout : ndarray, (T,)
        Start on entry, minimum on return.

    Returns
    -------
    int
        CONVERGED or NOT_CONVERGED.
    """
    for _ in range(most_rounds):
        for _ in range(SWEEPS):
            _sweep(normal, right, strength, theta_inout)
        _solve_active(
            normal, right, strength, work_lower, work, work_active, theta_inout
        )
        if violation(normal, right, strength, theta_inout) <= tolerance:
            return CONVERGED
    return NOT_CONVERGED


@kernel
def lasso_path(
    moments,
    index,
    right,
    strengths,
    tolerance,
    most_rounds,
    theta_out,
    violation_out,
    status_out,
):
    """Solve a path of strengths for a block of pixels, each from the one before.

    Parameters
    ----------
    moments : ndarray, (B, Q)
        Weighted moments of the labels.
    index : ndarray, (T, T), int64
        Moment of each product of terms (`polynomial.pair_table`).
    right : ndarray, (B, T)
        Sums of w f v.
    strengths : ndarray, (L,)
        Best decreasing.
    tolerance, most_rounds :
        Of `coordinate_descent`.
    theta_out : ndarray, (L, B, T)
    violation_out : ndarray, (L, B)
        Certificate of each solution.
    status_out : ndarray, (L, B), int64
        CONVERGED or NOT_CONVERGED.
    """
    n_terms = index.shape[0]
    normal = np.zeros((n_terms, n_terms))
    work_lower = np.zeros((n_terms, n_terms))
    work = np.zeros(n_terms)
    work_active = np.zeros(n_terms, dtype=np.int64)
    theta = np.zeros(n_terms)
    for b in range(moments.shape[0]):
        for i in range(n_terms):
            for j in range(n_terms):
                normal[i, j] = moments[b, index[i, j]]
        theta[:] = 0.0
        for s in range(strengths.shape[0]):
            status_out[s, b] = coordinate_descent(
                normal,
                right[b],
                strengths[s],
                tolerance,
                most_rounds,
                work_lower,
                work,
                work_active,
                theta,
            )
            violation_out[s, b] = violation(normal, right[b], strengths[s], theta)
            for t in range(n_terms):
                theta_out[s, b, t] = theta[t]
