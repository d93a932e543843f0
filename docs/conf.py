"""How Sphinx builds the static site of this folder: `make site` writes build/site and fails on any broken link."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

project = "ami-promoter"
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
exclude_patterns = ["Thumbs.db", ".DS_Store"]
myst_heading_anchors = 4  # headings get the anchors that a code host gives them
myst_fence_as_directive = ["mermaid"]  # a diagram is a fence, so that a code host draws it, too
nitpicky = True

html_theme = "furo"
html_title = "ami-promoter"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

INDEXES = ("index", "decisions/index")
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
PAGE = re.compile(r"\]\(((?!\.\./)[\w./-]+)\.md\)")


def navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Make the navigation from an index page's own links, one part for each heading, in the order of the page.

    A toctree in the page would show as code on a code host. A page that no index links to fails the strict build.
    """
    if page not in INDEXES:
        return
    _, *parts = SECTION.split(source[0])
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        links = "\n".join(dict.fromkeys(PAGE.findall(text)))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{links}\n```\n" if links else ""


def setup(app: Sphinx) -> None:
    """Connect the above."""
    app.connect("source-read", navigation)
