"""The disk cache of compiled kernels, in processes of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.config import DISABLE_JIT

from fastcannon.kernels import compile as compiling

pytestmark = pytest.mark.skipif(DISABLE_JIT, reason="nothing is compiled")

FOLDER = Path(compiling.__file__).parent
CODE = """
import numpy as np
from mykernels import cholesky
matrix = np.array([[4.0, 2.0], [2.0, 5.0]])
lower, inverse = np.zeros((2, 2)), np.zeros((2, 2))
cholesky.factor(matrix, 2, lower)
cholesky.invert(lower, 2, np.zeros(2), inverse)
hits = [sum(f.stats.cache_hits.values()) for f in (cholesky.factor, cholesky.invert)]
print(*inverse.ravel(), *hits)
"""
INSIDE = """
import re
from numba import float64 as f, int64 as i
from mykernels.folds import leave_folds_out as kernel
kernel.compile((f[:, :, :, ::1], f[:, :, :, ::1], f[:, :, ::1], i[:, ::1], f,
                f[:, ::1], f[::1], f[:, :, ::1], f[:, ::1], f[:, ::1]))
code, = kernel.inspect_llvm().values()
own = re.findall(r"^define .*@_ZN.*mykernels.*leave_folds_out", code, re.MULTILINE)
shared = re.findall(r"^define linkonce.*mykernels.*", code, re.MULTILINE)
print(len(own) > 0, len(shared))
"""
EXPECTED = [0.3125, -0.125, -0.125, 0.25]


@pytest.fixture
def package(tmp_path):
    """A copy of the kernels that a test may edit; the cache is beside it."""
    shutil.copytree(
        FOLDER,
        tmp_path / "mykernels",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path


def start(package, cache="cache", code=CODE):
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(package / cache),
        "PYTHONPATH": str(package),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process):
    """Inverse that the process computed, and how often each kernel was loaded."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    numbers = [float(word) for word in out.split()]
    assert numbers[:4] == pytest.approx(EXPECTED, rel=1e-12)
    return numbers[4:]


def files(package):
    return {
        path.relative_to(package): path.stat().st_mtime_ns
        for path in package.glob("cache/**/*")
        if path.is_file()
    }


def test_a_second_process_loads_what_the_first_compiled(package):
    assert result(start(package)) == [0, 0]
    written = files(package)
    assert len(written) >= 2
    assert all(path.suffix == ".nbc" for path in written)
    assert result(start(package)) == [1, 1]
    assert files(package) == written


def test_a_kernel_does_not_call_what_another_may_have_brought(package):
    # `solve` in each of its callers is another machine code, with other last digits.
    out, err = start(package, code=INSIDE).communicate(timeout=120)
    assert (out.split(), err) == (["True", "0"], "")


def test_six_cold_starts_at_once_agree(package):
    processes = [start(package) for _ in range(6)]
    for process in processes:
        result(process)
    written = files(package)
    assert not [path for path in written if ".tmp" in path.name]
    assert result(start(package)) == [1, 1]


def test_a_folder_that_cannot_be_written_costs_time_only(package):
    (package / "file").write_text("not a folder")
    assert result(start(package, "file/cache")) == [0, 0]


def test_a_broken_entry_is_compiled_again(package):
    result(start(package))
    for path in package.glob("cache/**/*.nbc"):
        path.write_bytes(path.read_bytes()[:100])
    assert result(start(package)) == [0, 0]
    for path in package.glob("cache/**/*.nbc"):
        path.write_bytes(b"")
    assert result(start(package)) == [0, 0]
    assert result(start(package)) == [1, 1]


def test_an_edit_in_a_callee_reaches_its_cached_caller(package):
    assert result(start(package)) == [0, 0]
    before = {path.name for path in (package / "cache").iterdir()}
    # `invert` calls `solve`: with another callee the old caller would be wrong.
    source = package / "mykernels" / "cholesky.py"
    text = source.read_text()
    assert "def solve(lower, n, x_inout):" in text
    source.write_text(text.replace("def solve(", "def _old_solve(") + ADDITION)
    process = start(package)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert [float(word) for word in out.split()[:4]] == [7, 0, 0, 7]
    after = {path.name for path in (package / "cache").iterdir()}
    assert len(after - before) == 1


ADDITION = """

@kernel
def solve(lower, n, x_inout):
    for i in range(n):
        x_inout[i] *= 7.0
"""


def test_the_folder_changes_with_any_source_and_with_numba(package, monkeypatch):
    monkeypatch.setattr(compiling, "__file__", str(package / "mykernels/compile.py"))
    first = compiling._content_hash()
    assert first == compiling._content_hash()
    hashes = {first}
    for path in sorted((package / "mykernels").glob("*.py")):
        text = path.read_text()
        path.write_text(text + "\n# changed\n")
        hashes.add(compiling._content_hash())
        path.write_text(text)
    assert compiling._content_hash() == first
    (package / "mykernels" / "new.py").write_text("")
    hashes.add(compiling._content_hash())
    monkeypatch.setattr(compiling.numba, "__version__", "0")
    hashes.add(compiling._content_hash())
    n_files = len(list((package / "mykernels").glob("*.py")))
    assert len(hashes) == n_files + 2


@pytest.mark.parametrize(
    "platform, variables, expected",
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/fastcannon"),
        ("linux", {}, "~/.cache/fastcannon"),
        ("darwin", {}, "~/Library/Caches/fastcannon"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/fastcannon"),
    ],
)
def test_the_cache_is_where_the_system_keeps_caches(
    platform, variables, expected, monkeypatch
):
    monkeypatch.setattr(compiling.config, "CACHE_DIR", "")
    monkeypatch.setattr(compiling.sys, "platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert compiling._cache_root() == Path(expected).expanduser()
    monkeypatch.setattr(compiling.config, "CACHE_DIR", "/given")
    assert compiling._cache_root() == Path("/given")


def test_in_this_process_a_full_disk_costs_time_only(monkeypatch, tmp_path):
    def add(a, b):
        return a + b

    monkeypatch.setattr(compiling._ContentLocator, "folder", str(tmp_path / "a"))
    cached = compiling.kernel(add)
    assert cached(1.0, 2.0) == 3.0
    assert len(list((tmp_path / "a").iterdir())) == 1
    again = compiling.kernel(add)
    assert again(1.0, 2.0) == 3.0
    assert sum(again.stats.cache_hits.values()) == 1
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(compiling._ContentLocator, "folder", str(tmp_path / "file/b"))
    other = compiling.kernel(add)
    assert other(1.0, 2.0) == 3.0 and other(1, 2) == 3
