"""How `make docs` turns this folder into web pages, _build/html."""

import os

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

# Kernels as plain functions: they show their arguments, and nothing is compiled.
os.environ["NUMBA_DISABLE_JIT"] = "1"

import fastcannon

project = "fastcannon"
author = copyright = "the fastcannon developers"
version = release = fastcannon.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
]
exclude_patterns = ["_build"]

# Anchors of headings as GitHub makes them: a link works here and there.
myst_heading_anchors = 3
myst_enable_extensions = ["amsmath", "dollarmath"]

autodoc_member_order = "bysource"
autosummary_generate = False  # tables only; the pages they point to are ours
numpydoc_show_class_members = False  # autodoc lists methods, with their text
python_maximum_signature_line_length = 72

html_theme = "furo"
html_math_renderer = "mathml"  # below; MathJax would be fetched from another's server
html_title = f"fastcannon {release}"
html_copy_source = False

# Files of the repository that are no pages here, and the page that includes each.
INCLUDED = {"../kernels/README.md": "derivations.md"}


def link_to_pages(app, docname, source):
    """Turn links to included files into links to the pages that include them."""
    up = "../" * docname.count("/")
    for path, page in INCLUDED.items():
        source[0] = source[0].replace(f"]({up}{path}", f"]({up}{page}")


def write_math(translator, node):
    """Write an equation as MathML, which browsers show by themselves."""
    block = node.tagname == "math_block"
    mathml = tex2mathml(node.astext(), as_block=block)
    if block:  # wide ones scroll on their own, not the page with them
        mathml = f'<div style="overflow: auto hidden; padding: 0.5em 0">{mathml}</div>'
    translator.body.append(mathml)
    raise SkipNode


def setup(app):
    app.connect("source-read", link_to_pages)
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
