"""The tutorials and the worked examples of docs/, run as a reader would run them."""

from importlib.util import find_spec
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
