"""The code of docs/: tutorials and worked examples are run as a reader would run them.

The examples of other pages want data that is not there; of those it is looked whether
they import what there is, and call it with arguments that it has.
"""

import ast
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import pytest
from pages import commands, compare, read_blocks, run_page

DOCS = Path(__file__).parents[1] / "docs"
TRAINS_NETWORKS = {"translate.md"}
PAGES = [
    page
    for folder in ("tutorials", "howto")
    for page in sorted((DOCS / folder).glob("*.md"))
    if page.stem != "index"
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_shows(page, tmp_path, monkeypatch):
    if page.name in TRAINS_NETWORKS and find_spec("jax") is None:
        pytest.skip("training networks needs JAX: fastcannon[translate]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as a script in that folder would have it
    run_page(page, tmp_path)
    assert any(block.language == "python" for block in read_blocks(page))


OTHERS = [
    page
    for page in sorted([*DOCS.parent.glob("*.md"), *DOCS.glob("*.md")])
    if any(block.language == "python" for block in read_blocks(page))
]


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_examples_call_what_there_is(page):
    if page.name in TRAINS_NETWORKS and find_spec("jax") is None:
        pytest.skip("training networks needs JAX: fastcannon[translate]")
    ours = {}
    for block in read_blocks(page):
        if block.language == "python":
            where = f"{page.name}:{block.line}"
            tree = ast.parse(block.content, where)
            ours |= imported(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    check_call(node, ours, where)


def imported(tree):
    """Return what a block imports of this package, by the names it has there."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "fastcannon":
                    import_module(alias.name)
        module = getattr(node, "module", None) or ""
        if module.split(".")[0] == "fastcannon":
            for alias in node.names:
                try:
                    value = getattr(import_module(module), alias.name)
                except AttributeError:
                    value = import_module(f"{module}.{alias.name}")
                found[alias.asname or alias.name] = value
    return found


def check_call(node, ours, where):
    """Assert that a function of this package takes the arguments of a call."""
    names, function = ast.unparse(node.func).split("."), None
    if names[0] in ours and all(name.isidentifier() for name in names):
        function = ours[names[0]]
        for name in names[1:]:
            function = getattr(function, name)
    if not callable(function) or any(isinstance(a, ast.Starred) for a in node.args):
        return
    keywords = {keyword.arg: None for keyword in node.keywords if keyword.arg}
    whole = len(keywords) == len(node.keywords)
    bind = signature(function).bind if whole else signature(function).bind_partial
    try:
        bind(*node.args, **keywords)
    except TypeError as error:
        pytest.fail(f"{where}, line {node.lineno} of it: {ast.unparse(node)}: {error}")


def test_outputs_that_differ_are_told():
    compare("a 1.00\n\nb  2\n", "a 1.01\nb 2\n", (0.001, 0), "here")  # the last digit
    compare("a 1.0\nx\ny\nb 2\n", "a 1.0\n...\nb 2\n", None, "here")
    compare("a 100\n", "a 104\n", (0.02, 5), "here")
    for printed, shown, tolerance in (
        ("a 1.0\n", "a 1.1\n", None),
        ("a 100\n", "a 104\n", (0.02, 3)),
        ("a 1\n", "b 1\n", (0.5, 5)),
        ("a 1\nb 2\n", "a 1\n", None),  # more is printed than shown
        ("a 1\n", "a 1\nb 2\n", None),  # less
        ("b 2\na 1\n", "a 1\n...\nb 2\n", None),  # in another order
    ):
        with pytest.raises(AssertionError, match="here"):
            compare(printed, shown, tolerance, "here")


def test_commands_are_parted_from_what_they_print():
    content = "$ one \\\n    two\n$ three\nsaid\nmore\n"
    assert commands(content) == [("one      two", ""), ("three", "said\nmore\n")]
