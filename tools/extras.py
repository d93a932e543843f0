"""What Chalice does not create: the files of ``.chalice/extras/``, put together.

Each file is a subject with its parameters, conditions, resources and outputs. A name that two files have is refused, as
is a name that one mapping has twice: the later one would silently replace the earlier.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import intrinsics_multi_constructor

FOLDER = Path(__file__).resolve().parent.parent / ".chalice" / "extras"
HUB = ("functions", "rights", "sources", "stores", "messages", "alarms", "dashboard", "console")
"""The files of the hub's stack, in the order in which people read their parameters."""
MONITOR = ("monitor",)
"""Those of the access monitor's."""


class TwiceNamed(Exception):
    """A name stands twice in the extras; the text says where."""


def read(subjects: Iterable[str] = HUB, folder: Path = FOLDER) -> dict[str, Any]:
    """Return the extras of a stack as one template, short tags resolved.

    Raises TwiceNamed.
    """
    whole: dict[str, Any] = {}
    for subject in subjects:
        file = folder / f"{subject}.yaml"
        for section, content in yaml.load(file.read_text(encoding="utf-8"), _OnceNamed).items():  # noqa: S506
            held, added = (
                (whole.setdefault(section, {}), content) if isinstance(content, dict) else (whole, {section: content})
            )
            if twice := held.keys() & added.keys():
                raise TwiceNamed(f"{file.name}: another file has {', '.join(sorted(twice))}, too")
            held.update(added)
    return whole


class _OnceNamed(yaml.SafeLoader):
    """Reads CloudFormation's YAML, and refuses a name that a mapping has twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names = [name.value for name, _ in node.value]
        if twice := {name for name in names if names.count(name) > 1}:
            raise TwiceNamed(f"line {node.start_mark.line + 1}: {', '.join(sorted(twice))} stands twice")
        return node


_OnceNamed.add_multi_constructor("!", intrinsics_multi_constructor)
