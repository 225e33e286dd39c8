"""What is built and installed: files, versions, extras, and how fast it starts."""

import ast
import configparser
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import fastcannon
from fastcannon.extras import EXTRAS

ROOT = Path(__file__).parents[1]
MODULES = {"pillow": "PIL"}  # where they are not named as the package
WITH_OTHERS = {"fastcannon", "markupsafe"}  # the latter is Jinja's
OPTIONAL = {module for modules, _ in EXTRAS.values() for module in modules}
# Sub-packages and modules that are imported only where their extra is needed.
WITH_EXTRA = ("demo.py", "figures/", "plots.py", "report/", "translate/training.py")


def setup():
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg", encoding="utf-8")
    return found


def requirements(text):
    """Map every package of a list of requirements to its lower bound."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(re.match(r"([\w-]+)>?==?([\d.]+)", line).groups() for line in lines)


def run(code, folder, *path, **environment):
    """Run Python code in a folder of its own and return what it prints."""
    path = os.pathsep.join(map(str, path))
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_version_has_one_place():
    assert setup()["metadata"]["version"] == "attr: fastcannon.__version__"
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {fastcannon.__version__}\n" in text


def test_every_folder_of_code_is_packaged():
    folders = {path.parent for path in (ROOT / "fastcannon").rglob("__init__.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    packages = setup()["options"]["packages"].split()
    assert set(packages) == names | {"fastcannon.kernels"}
    assert packages == sorted(packages)


def test_the_oldest_versions_are_those_that_are_tested():
    parts = setup()["options.extras_require"]
    declared = requirements(setup()["options"]["install_requires"])
    for extra in (*EXTRAS, "test"):
        for name, version in requirements(parts[extra]).items():
            # the pictures need one version of matplotlib: skipped with any other
            if (extra, name) != ("test", "matplotlib"):
                assert declared.setdefault(name, version) == version
    text = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8")
    assert requirements(text) == declared


def test_extras_are_those_that_the_selftest_knows():
    parts = setup()["options.extras_require"]
    for extra, (modules, _) in EXTRAS.items():
        names = requirements(parts[extra])
        assert sorted(MODULES.get(name, name) for name in names) == sorted(modules)


def imports(path):
    """Yield (top-level module, whether it is imported with the file) of a source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tried = [node for node in tree.body if isinstance(node, ast.Try | ast.If)]
    first = {id(node) for part in (tree, *tried) for node in part.body}
    for node in ast.walk(tree):
        at_once = id(node) in first
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], at_once) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0], at_once


def test_every_import_is_declared_and_optional_ones_wait():
    needed = set(requirements(setup()["options"]["install_requires"]))
    known = needed | OPTIONAL | WITH_OTHERS | sys.stdlib_module_names
    for path in (ROOT / "fastcannon").rglob("*.py"):
        name = path.relative_to(ROOT / "fastcannon").as_posix()
        for module, at_once in imports(path):
            assert module in known, f"{name}: {module} is not declared in setup.cfg"
            if at_once and module in OPTIONAL:
                assert name.startswith(WITH_EXTRA), f"{name} imports {module} at once"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, the wheel made of it, and the folder it installs to."""
    pytest.importorskip("setuptools", minversion="70.1", reason="wheels need it")
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    ignored = "*_cache", "__pycache__", ".git", ".venv*", "*.egg-info", "_build"
    ignored += "build", "dist", "demo", "galaxy"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*ignored))
    build = "import setuptools.build_meta as b; print(b.build_{}({!r}))"
    make(build.format("sdist", str(folder)), source)
    [sdist] = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    make(build.format("wheel", str(folder)), unpacked)
    [wheel] = folder.glob("*.whl")
    installed = folder / "installed"
    with zipfile.ZipFile(wheel) as archive:  # a wheel of plain Python: that installs it
        archive.extractall(installed)
    return sdist, wheel, installed


def make(code, folder):
    """Run a step of the build, which may warn as the build tool likes."""
    subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=True, capture_output=True
    )


def test_the_source_distribution_has_what_the_repository_has(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for path in (
        *("Makefile", "README.md", "LICENSE", "CITATION.cff", "kernels/README.md"),
        *("kernels/cholesky.py", "fastcannon/report/templates/page.html"),
        *("tests/test_packaging.py", "tests/small_run.py", "tests/oldest.txt"),
        *("bench/baseline.json", "bench/clock.py", "docs/surveys.md", ".ci/run"),
    ):
        assert path in names or not (ROOT / path).exists(), path
    assert not [name for name in names if name.endswith(".pyc") or "__pycache" in name]
    kept = {
        path.relative_to(ROOT).as_posix()
        for folder in ("fastcannon", "kernels", "tests", "bench")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert kept <= names


def test_the_wheel_has_all_that_the_library_reads(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "fastcannon").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {f"fastcannon/kernels/{p.name}" for p in (ROOT / "kernels").glob("*.py")}
    assert wanted <= names
    rest = {name for name in names - wanted if ".dist-info/" not in name}
    assert not rest, "neither tests nor kernels of their own"
    assert f"fastcannon-{fastcannon.__version__}.dist-info/METADATA" in names


HIDE = f"""
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: (
    None if name.split(".")[0] in {sorted(OPTIONAL)} else find(name, *rest)
)
import fastcannon
assert fastcannon.__file__.startswith(sys.path[1]), fastcannon.__file__
from fastcannon.cli import main
"""
USE = (
    HIDE
    + """
from fastcannon.simulator import simulate_spectra
from fastcannon import write_spectra
write_spectra("s.fits", **vars(simulate_spectra(150, 120, seed=1)), normalised=True)
labels = ["--labels", "teff", "logg", "fe_h"]
assert main(["train", "s.fits", *labels, "-o", "m.fits", "-q"]) == 0
assert main(["infer", "m.fits", "s.fits", "-o", "l.fits", "-q"]) == 0
assert main(["validate", "s.fits", *labels, "--folds", "3", "-q"]) == 0
assert main(["init", "f.toml", "-q"]) == 0
from fastcannon import kernels
assert kernels.__file__.startswith(sys.path[1])
assert not {"matplotlib", "jax"} & {name for name in sys.modules if sys.modules[name]}
"""
)


def test_it_works_without_extras_outside_the_repository(built, tmp_path):
    said = run(USE, tmp_path, built[2])
    assert "teff" in said  # of validate
    assert (tmp_path / "l.fits").exists()


def test_python_m_runs_the_command(built, tmp_path):
    command = [sys.executable, "-m", "fastcannon", "--help"]
    environment = os.environ | {"PYTHONPATH": str(built[2])}
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.returncode == 0 and "selftest" in found.stdout and not found.stderr


LACKING = (
    HIDE
    + """
from fastcannon import scheduler, write_spectra
from fastcannon.simulator import simulate_spectra
from fastcannon.errors import InputError

write_spectra("s.fits", **vars(simulate_spectra(30, 60, seed=1)), normalised=True)
print(main(["report", "."]))
print(main(["validate", "s.fits", "--labels", "teff", "--figure", "f.png"]))
for use in (
    lambda: scheduler._connected("tcp://127.0.0.1:9").__enter__(),
    lambda: __import__("fastcannon.translate.training"),
):
    try:
        use()
    except InputError as error:
        print(error)
from fastcannon.selftest.machine import extras
print(*(text for _, text in extras()), sep="\\n")
"""
)


def test_what_needs_an_extra_names_it(tmp_path):
    code = "import sys\nsys.stderr = sys.stdout\n" + LACKING
    lines = run(code, tmp_path, ROOT).splitlines()
    report, two, plot, also_two, cluster, translate, *others = lines
    assert two == also_two == "2"
    for extra, line in zip(
        ("report", "plot", "cluster", "translate"),
        (report, plot, cluster, translate),
        strict=True,
    ):
        assert f"fastcannon[{extra}]" in line, line
    assert [line.split()[-1] for line in others] == [
        f"fastcannon[{extra}]" for extra in EXTRAS
    ]


START = """
import numpy, sys, time
start = time.perf_counter()
import fastcannon
{}
print(time.perf_counter() - start)
heavy = {{"scipy", "numba", "astropy", "pyarrow", "matplotlib", "jax"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
HELP = """
from fastcannon.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
"""


@pytest.mark.parametrize("more", ["", HELP], ids=["import", "help"])
def test_it_starts_at_once(more, tmp_path):
    code = START.format(more)
    seconds = [float(run(code, tmp_path, ROOT).split()[-1]) for _ in range(5)]
    # beyond NumPy's own; measured 0.004 s, and 0.04 s for the help
    assert statistics.median(seconds) < 0.5
