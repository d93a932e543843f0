"""The template inside deploy/target-stackset.yaml: deploy/target.yaml word for word.

A StackSet takes its template as text or from a bucket. As text nothing has to be uploaded first, and a change of
the template is a change of the stack. CloudFormation takes 51,200 characters.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "deploy" / "target.yaml"
STACKSET = ROOT / "deploy" / "target-stackset.yaml"
MARK = "      TemplateBody: | #"
"""Begins the last property of the file; all that follows its line is the body."""


def page() -> str:
    """Return the text of deploy/target-stackset.yaml, its own part as written and the body as it should be."""
    own, mark, rest = STACKSET.read_text(encoding="utf-8").partition(MARK)
    note = rest.partition("\n")[0]
    body = textwrap.indent(TARGET.read_text(encoding="utf-8"), "        ")
    return f"{own}{mark}{note}\n{body}"
