"""The rules of the house for kernels/, read from its source."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FOLDER = TESTS.parent / "kernels"
FILES = sorted(FOLDER.glob("*.py"))
TREES = {path.name: ast.parse(path.read_text()) for path in FILES}
MAY_IMPORT = {"numpy", "numba", "math"} | set(sys.stdlib_module_names)
OURS = ("fastcannon.kernels", "fastcannon.selftest")  # what tests call of kernels
MOST_LINES = 300
# Longer than that already; they may only get shorter.
LONGER = {
    "continuum.py": 324,
    "hull.py": 369,
    "levenberg.py": 301,
    "reference_inference.py": 398,
}


def functions(name):
    return [node for node in TREES[name].body if isinstance(node, ast.FunctionDef)]


def is_kernel(function):
    return any(getattr(d, "id", None) == "kernel" for d in function.decorator_list)


KERNELS = [
    pytest.param(name, function, id=f"{name[:-3]}.{function.name}")
    for name in TREES
    for function in functions(name)
    if is_kernel(function)
]
PUBLIC = [case for case in KERNELS if not case.values[1].name.startswith("_")]
TWINS = {
    function.name
    for name in TREES
    if name.startswith("reference")
    for function in functions(name)
}


def called(path):
    """Return the names that a test calls of kernels, of twins or of the selftest.

    ``np.linalg.solve`` is no call of the kernel ``solve``.
    """
    tree, modules, names, found = ast.parse(path.read_text()), set(), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in OURS:
            modules |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module.startswith(OURS):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
    for node in ast.walk(tree):
        function = node.func if isinstance(node, ast.Call) else None
        if isinstance(function, ast.Name) and function.id in names:
            found.add(names[function.id])
        if isinstance(function, ast.Attribute):
            if getattr(function.value, "id", None) in modules:
                found.add(function.attr)
    return found


CALLED = set().union(*map(called, TESTS.glob("test_*.py")))


def documented(function):
    """Map every documented argument to what its line says, and what returns."""
    text = ast.get_docstring(function) or ""
    parameters = text.partition("Parameters\n----------\n")[2]
    parameters = re.split(r"\n\w+\n-+\n", parameters)[0]
    found = {}
    for line in parameters.splitlines():
        match = re.match(r"([a-z]\w*(?:, \w+)*) :(.*)", line)
        if match:
            found |= dict.fromkeys(match[1].split(", "), match[2])
    return found


def test_there_are_kernels_to_look_at():
    assert len(PUBLIC) > 30 and len(FILES) > 15


@pytest.mark.parametrize("name, function", PUBLIC)
def test_every_argument_is_documented_with_its_shape(name, function):
    found = documented(function)
    names = [argument.arg for argument in function.args.args]
    assert set(names) == set(found), "arguments and their descriptions differ"
    for argument, line in found.items():
        if "ndarray" in line:
            assert re.search(r"ndarray, \(.+\)", line), f"{argument} has no shape"
        if line == "":  # "As in ...", for several arguments described elsewhere
            text = ast.get_docstring(function)
            assert re.search(rf"{argument}\b.*:\n    (As|See|Of|Eval)", text), argument


@pytest.mark.parametrize("name, function", PUBLIC)
def test_outputs_stand_last_and_scratch_before_them(name, function):
    names = [argument.arg for argument in function.args.args]
    places = [
        2 if name.endswith(("_out", "_inout")) else int(name.startswith("work"))
        for name in names
    ]
    assert places == sorted(places), names
    text = ast.get_docstring(function).replace("\n    ", " ")
    for line in re.findall(r"^(\w+) :.*Scratch", text, re.MULTILINE):
        assert line.startswith("work"), f"{line} is scratch: work_..."


@pytest.mark.parametrize("name, function", KERNELS)
def test_kernels_neither_raise_nor_print_nor_know_none(name, function):
    for node in ast.walk(function):
        assert not isinstance(node, ast.Raise | ast.Assert | ast.Try)
        assert not (isinstance(node, ast.Constant) and node.value is None)
        assert not (isinstance(node, ast.Name) and node.id in ("print", "prange"))
    assert ast.get_docstring(function) or function.name.startswith("_")


@pytest.mark.parametrize("name", [n for n in TREES if n != "compile.py"])
def test_compile_options_stand_in_one_file(name):
    for node in ast.walk(TREES[name]):
        called = getattr(node, "attr", getattr(node, "id", ""))
        assert called not in ("njit", "jit", "vectorize", "guvectorize", "fastmath")
        if isinstance(node, ast.keyword):
            assert node.arg not in ("fastmath", "nogil", "error_model", "parallel")


def test_full_fast_math_is_never_used():
    from fastcannon.kernels.compile import OPTIONS

    assert OPTIONS["fastmath"] == {"reassoc", "contract"}  # else NaN tests vanish
    assert OPTIONS["error_model"] == "numpy" and OPTIONS["nogil"] is True


@pytest.mark.parametrize("name", TREES)
def test_imports_are_numpy_numba_standard_library_or_relative(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name.split(".")[0] in MAY_IMPORT
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module.split(".")[0] in MAY_IMPORT
        if isinstance(node, ast.ImportFrom):
            assert node.level < 2
        if name.startswith("reference") and isinstance(node, ast.Import):
            assert [alias.name for alias in node.names] == ["numpy"]


@pytest.mark.parametrize("name, function", PUBLIC)
def test_every_kernel_has_a_twin_and_a_test(name, function):
    assert function.name in TWINS, "write its plain NumPy twin"
    assert function.name in CALLED, "test it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_are_short(path):
    most = LONGER.get(path.name, MOST_LINES)
    assert len(path.read_text().splitlines()) <= most


def test_the_folder_works_under_another_name(tmp_path):
    shutil.copytree(
        FOLDER,
        tmp_path / "mykernels",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    code = """
import numpy as np, sys
from mykernels import cholesky, reference
matrix = np.array([[4.0, 2.0], [2.0, 5.0]])
lower = np.zeros((2, 2))
assert cholesky.factor(matrix, 2, lower) == 0
np.testing.assert_allclose(np.tril(lower), reference.factor(matrix)[0])
assert not any(name.startswith("fastcannon") for name in sys.modules)
"""
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(tmp_path),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    compiled = not os.environ.get("NUMBA_DISABLE_JIT", "0") == "1"
    assert bool(list(tmp_path.glob("cache/*/*.nbc"))) == compiled
