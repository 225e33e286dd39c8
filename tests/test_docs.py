"""Links and names of the documentation, without building it."""

import ast
import re
from contextlib import suppress
from pathlib import Path
from pkgutil import resolve_name

import pytest

import fastcannon
from fastcannon import kernels

ROOT = Path(__file__).parents[1]
WRITTEN = [p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts]
PAGES = sorted([*ROOT.glob("*.md"), *WRITTEN, ROOT / "kernels" / "README.md"])
API = "\n".join(path.read_text() for path in (ROOT / "docs" / "api").glob("*.rst"))


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """Return the anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(path.read_text()), re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(plain.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"`[^`]*`", "", without_code(page.read_text()))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if there.name == "derivations.md":  # includes the README of the kernels
            there = ROOT / "kernels" / "README.md"
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name}: #{anchor}"


def test_the_api_pages_have_every_public_name():
    modules = set(fastcannon._MODULES)
    for name in set(fastcannon.__all__) - modules:
        assert re.search(rf":: {name}$", API, re.M), f"{name} is on no page of docs/api"
    shown = set(re.findall(r"automodule:: fastcannon\.kernels\.(\w+)", API))
    for name in kernels.__all__:
        home = getattr(kernels, name).__module__.rpartition(".")[2]
        assert home in shown, f"{home}.py ({name}) is not on docs/api/kernels.rst"


def texts(path):
    """Return the docstrings and messages of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return "\n".join(value for value in values if isinstance(value, str))


def found(name, homes):
    """Return whether a dotted name is there, or begins with no module of ours."""
    known = False
    for home in homes:
        with suppress(ImportError, AttributeError):
            known |= bool(resolve_name(f"{home}:{name.partition('.')[0]}"))
        with suppress(ImportError, AttributeError):
            return bool(resolve_name(f"{home}.{name}"))
    return not known


@pytest.mark.parametrize("start", sorted((ROOT / "fastcannon").rglob("__init__.py")))
def test_names_in_docstrings_and_messages_are_there(start):
    home = ".".join(start.parent.relative_to(ROOT).parts)
    homes = [home, "fastcannon", "fastcannon.kernels"]
    for path in sorted(start.parent.glob("*.py")):
        text = texts(path)
        for name in re.findall(r"\bfastcannon\.((?:[A-Za-z_]+\.?)+)", text):
            is_file = name.rstrip(".") == "toml"
            assert is_file or found(name.rstrip("."), ["fastcannon"]), (path, name)
        for name in re.findall(r"(?<!`)`([a-z_]+\.[A-Za-z_.]+)`(?!`)", text):
            assert found(name, homes), (path, name)
