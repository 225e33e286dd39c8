"""What this machine has: versions, threads, BLAS, the cache of kernels, extras."""

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version

import numba
import numpy  # loads its BLAS, so that threadpoolctl sees it  # noqa: F401
from threadpoolctl import threadpool_info

from .. import __version__
from ..extras import EXTRAS, missing
from ..kernels import cholesky
from ..parallel import thread_count

PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "astropy",
    "fitsio",
    "pyarrow",
    "threadpoolctl",
)
# Settings of Numba under which kernels are slow, and the value that is not.
SLOW_SETTINGS = {
    "DISABLE_JIT": 0,
    "OPT": 3,
    "BOUNDSCHECK": None,
    "DEBUGINFO_DEFAULT": 0,
}


def versions():
    """Yield (kind, text): what runs, on what."""
    yield (
        "note",
        f"fastcannon {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {thread_count()} of "
        f"{os.cpu_count()} cores",
    )
    yield "note", ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "of unknown version"


def threads():
    """Yield (kind, text): what BLAS and Numba are set to, and what makes them slow."""
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    for pool in blas:
        yield (
            "note",
            f"BLAS: {pool['internal_api']} {pool['version']} "
            f"({pool.get('architecture', 'unknown')}), {pool['num_threads']} threads; "
            "held to one where each core has a block of its own",
        )
        if pool["num_threads"] > thread_count():
            yield (
                "warn",
                f"BLAS has {pool['num_threads']} threads for {thread_count()} cores: "
                f"set OMP_NUM_THREADS={thread_count()}",
            )
    if not blas:
        yield (
            "warn",
            "threadpoolctl does not know NumPy's BLAS, which therefore cannot be held "
            "to one thread per block: set OMP_NUM_THREADS=1 (or VECLIB_MAXIMUM_THREADS)"
            " and compare the speed",
        )
    yield (
        "note",
        f"Numba: {numba.config.NUMBA_NUM_THREADS} threads, not used: kernels are "
        "serial, one block of rows per Python thread",
    )
    for name, quick in SLOW_SETTINGS.items():
        value = getattr(numba.config, name, quick)
        if (getattr(value, "_raw_value", value) or 0) != (quick or 0):
            yield "warn", f"NUMBA_{name} is {value}: kernels are slow"


def kernel_cache():
    """Yield (kind, text): whether compiled kernels can be kept."""
    if numba.config.DISABLE_JIT:
        yield "warn", "nothing is compiled, so there is no cache of kernels"
        return
    folder = cholesky.factor.stats.cache_path
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield (
            "warn",
            f"{folder}: compiled kernels cannot be kept ({error.strerror}), so that "
            "every start waits for the compiler: set NUMBA_CACHE_DIR to a folder that "
            "can be written",
        )
        return
    yield "PASS", f"compiled kernels are kept in {folder}"


def extras():
    """Yield (kind, text): which optional parts are installed, else their extra."""
    for extra, (_, purpose) in EXTRAS.items():
        if lacking := missing(extra):
            lack = f"{purpose}: {', '.join(lacking)} not installed; for it install "
            yield "note", f"{lack}fastcannon[{extra}]"
        else:
            yield "note", f"{purpose}: fastcannon[{extra}] is installed"
