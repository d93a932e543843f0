"""How Sphinx builds the static site: `make site` writes build/site, and fails on any broken link or anchor.

The source folder is the repository, so that README.md, CONTRIBUTING.md and CHANGELOG.md are pages with checked links.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

project = "ami-promoter"
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
include_patterns = ["*.md", "docs/**", "awsim/README.md", "awsim/docs/**", "tests/README.md"]
exclude_patterns = [
    ".*",
    "ami_promoter",
    "build",
    "chalicelib",
    "demo",
    "deploy",
    "requirements",
    "tests/*/**",
    "tools",
]
root_doc = "docs/index"
myst_heading_anchors = 4  # headings get the anchors that a code host gives them
myst_fence_as_directive = ["mermaid"]  # a diagram is a fence, so that a code host draws it, too
nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # a block that the lexer of its language does not know stays plain

html_theme = "furo"
html_title = "ami-promoter"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

INDEXES = ("docs/index", "docs/decisions/index")
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
PAGE = re.compile(r"\]\(([\w./-]+)\.md\)")
START = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html"><a href="docs/">Docs</a>\n'


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


def start_page(app: Sphinx, failed: Exception | None) -> None:
    """Let the site's first page lead to the documentation's index."""
    if failed is None:
        Path(app.outdir, "index.html").write_text(START, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect the above."""
    app.connect("source-read", navigation)
    app.connect("build-finished", start_page)
