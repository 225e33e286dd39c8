"""Case of resampling: an arm of GALAH from its own wavelengths to the common grid."""

import numpy as np
from scipy.interpolate import BarycentricInterpolator

from bench.kernel_cases import Case, assert_close, case
from fastcannon.kernels import resample

N_INPUT, N_GRID = 4096, 3957


@case(resample, 1)
def resample_row(world):
    flux, ivar = world.flux[0, :N_INPUT], world.ivar[0, :N_INPUT]
    first, step, grid_first, grid_step = 4713.56, 0.04599, 4716.7, 0.046
    work = np.empty((2, N_INPUT), np.float32)
    flux_out, ivar_out = np.empty((2, N_GRID), np.float32)

    def check(_):
        position = (grid_first + grid_step * np.arange(N_GRID) - first) / step
        pixels = np.floor(position).astype(int)[:, None] + np.arange(-1, 3)
        t = position - pixels[:, 1]
        nodes = BarycentricInterpolator([-1.0, 0.0, 1.0, 2.0], np.eye(4))
        coefficients = nodes(t)
        good = (ivar[pixels] > 0).all(axis=1)
        value = (coefficients * flux[pixels]).sum(axis=1)
        variance = (coefficients[good] ** 2 / ivar[pixels[good]]).sum(axis=1)
        assert_close(flux_out[good], value[good], 1e-6)
        assert_close(ivar_out[good], 1 / variance, 1e-6)
        assert not ivar_out[~good].any()

    return Case(
        lambda: resample.resample_row(
            flux, ivar, first, step, grid_first, grid_step, work, flux_out, ivar_out
        ),
        check,
    )
