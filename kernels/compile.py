"""How every kernel is compiled: the options, their reasons, and the disk cache.

Options
-------
error_model="numpy"
    Division by zero gives inf or NaN as in NumPy instead of a branch that
    raises; the kernels report trouble by status codes.
nogil=True
    Kernels run in plain Python threads, one block of spectra or pixels each.
forceinline=True
    A kernel holds all that it calls. A call that is left is to a symbol that other
    kernels have, too, optimised in their own way, and which of them it reaches depends
    on what was compiled or loaded before: the last digits would.
fastmath={"reassoc", "contract"}
    Sums may be reordered (vector lanes) and multiply-adds fused. The full
    fast-math set is never used: it would delete the tests for NaN.

Cache
-----
Compiled kernels are kept on disk, so that only the first run after an
installation waits for the compiler. The folder is named by the content of all
kernel sources and the Numba version, because Numba itself does not notice an
edit in a function that a cached one calls. Each compiled signature has a file
named by its own key, so that any number of processes may write at once.
"""

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path

import numba
from numba.core import caching, config

OPTIONS = {
    "error_model": "numpy",
    "nogil": True,
    "forceinline": True,
    "fastmath": {"reassoc", "contract"},
}


def _cache_root():
    """Return the folder for compiled code, where the system keeps caches."""
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR)
    if sys.platform == "win32" and "LOCALAPPDATA" in os.environ:
        return Path(os.environ["LOCALAPPDATA"]) / "fastcannon"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fastcannon"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fastcannon"


def _content_hash():
    """Return a hash of every kernel source and of the Numba version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class _ContentLocator(caching._CacheLocator):
    """Puts the cache where the content of the sources says, never beside them."""

    folder = None

    def __init__(self, py_func):
        self._name = py_func.__code__.co_firstlineno

    def get_cache_path(self):
        if _ContentLocator.folder is None:
            _ContentLocator.folder = str(_cache_root() / _content_hash())
        return _ContentLocator.folder

    def get_source_stamp(self):
        return "content"

    def get_disambiguator(self):
        return str(self._name)

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func)


class _KernelCacheImpl(caching.CompileResultCacheImpl):
    _locator_classes = (_ContentLocator,)


class _OneFilePerKey(caching.IndexDataCacheFile):
    """Cache entries without an index: the file name is the hash of the key."""

    def _name_of(self, key):
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:24]
        return f"{self._index_name}.{digest}.nbc"

    def save(self, key, data):
        self._save_data(self._name_of(key), data)

    def load(self, key):
        try:
            return self._load_data(self._name_of(key))
        except Exception:  # absent or damaged, in whatever way: compiled again
            return None


class _KernelCache(caching.FunctionCache):
    _impl_class = _KernelCacheImpl

    def __init__(self, py_func):
        super().__init__(py_func)
        self._cache_file = _OneFilePerKey(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp="content",
        )

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()  # a full or read-only disk costs compile time, no more


def kernel(function):
    """Compile a function lazily with the options above and cache it on disk."""
    compiled = numba.njit(**OPTIONS)(function)
    if not config.DISABLE_JIT:
        # A user without a home has no folder for the cache, and waits for the compiler.
        with suppress(RuntimeError):
            compiled._cache = _KernelCache(function)
    return compiled
