"""The unit of training, G, beside that of inference, which the selftest has."""

import numpy as np
from threadpoolctl import threadpool_limits

from fastcannon.selftest.speed import PIXELS, TERM_PAIRS

STARS = 4418


def gram_task(threads):
    """One Gram pass, unit G: (8575 x 4418) @ (4418 x 406) in double precision."""
    rng = np.random.default_rng(0)
    left, right = rng.random((PIXELS, STARS)), rng.random((STARS, TERM_PAIRS))
    out = np.empty((PIXELS, TERM_PAIRS))

    def task():
        with threadpool_limits(threads, user_api="blas"):
            np.matmul(left, right, out=out)

    return task
