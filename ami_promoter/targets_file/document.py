"""A YAML file as plain data, with the line and column of everything in it.

Only plain YAML is accepted: no anchors, custom tags or merge keys (``defaults`` and groups serve for repetition), and
nothing that some YAML readers take for a number and others for a string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from chalicelib.engine.faults import Fault

MAX_DEPTH = 20
LARGEST = 1_000_000
"""Most characters. A file of three thousand accounts, each with its own settings, has about half."""

Path = tuple[str | int, ...]
"""The way to a value from the top: keys of mappings and indices of lists."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """What a file says. ``data`` holds dicts, lists, strings, ints, floats, booleans and None."""

    name: str
    data: Any
    values: Mapping[Path, yaml.Mark] = field(default_factory=dict)
    keys: Mapping[Path, yaml.Mark] = field(default_factory=dict)
    raw: Mapping[Path, str] = field(default_factory=dict)
    """Each scalar as it is written: 012345678901, not YAML's number."""

    def where(self, path: Path) -> str:
        """``file:line:column`` of the value at a path."""
        return _place(self.name, self.values.get(path))

    def where_key(self, path: Path) -> str:
        """``file:line:column`` of the key (or, in a list, the value) at a path."""
        return _place(self.name, self.keys.get(path) or self.values.get(path))


def read(text: str, name: str) -> tuple[YamlDocument, list[Fault]]:
    """Read a file's text. What has a fault is left out, so that the rest can be checked, too."""
    if len(text) > LARGEST:
        what = f"the file has {len(text):,} characters; {LARGEST:,} is the limit."
        cure = "Move repeated settings to `defaults` or to a group, or name OUs instead of accounts."
        return YamlDocument(name, None), [Fault("targets-yaml", _place(name, None), what, cure)]
    try:
        refused = list(_refusals(yaml.parse(text, Loader=yaml.SafeLoader), name))
        node = None if refused else yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        return YamlDocument(name, None), [_unreadable(text, name, error)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"this is not YAML: {' '.join(filter(None, (error.context, error.problem)))}."
        cure = (
            "Correct this line or the one before it; indent with spaces, and put strings with "
            "special characters in quotes."
        )
        return YamlDocument(name, None), [Fault("targets-yaml", _place(name, mark), what, cure)]
    if refused or node is None:
        return YamlDocument(name, None), refused
    reading = _Reading(name)
    data = reading.value(node, ())
    return YamlDocument(name, data, reading.values, reading.keys, reading.raw), reading.faults


def unquoted(raw: str, where: str) -> Fault:
    """Return the fault of a text without quotes that YAML reads as something else."""
    what = f"{raw} has no quotes: YAML readers take it for a number and lose leading zeros."
    return Fault("targets-unquoted", where, what, f'Quote it: "{raw}".')


class _Reading:
    """One pass over a file's nodes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[Path, yaml.Mark] = {}
        self.keys: dict[Path, yaml.Mark] = {}
        self.raw: dict[Path, str] = {}
        self.faults: list[Fault] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.values[path] = node.start_mark
        if isinstance(node, yaml.MappingNode):
            return {key: self.value(entry, (*path, key)) for key, entry in self._pairs(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(entry, (*path, index)) for index, entry in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - YAML has no fourth kind
        self.raw[path] = node.value
        return _scalar(node)

    def _pairs(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node]]:
        for key, entry in node.value:
            mark = key.start_mark
            if not isinstance(key, yaml.ScalarNode):
                self._fault("targets-key-form", mark, "a list or mapping cannot be a key.", "Write a name.")
                continue
            here = (*path, key.value)
            if here in self.keys:
                first = self.keys[here].line + 1
                what = f"`{key.value}` is here a second time; the first is on line {first}."
                self._fault("targets-duplicate-key", mark, what, "Keep one of them.")
                continue
            if key.style is None and _digits(key.value):
                self.faults.append(unquoted(key.value, _place(self.name, mark)))
            self.keys[here] = mark
            yield key.value, entry

    def _fault(self, code: str, mark: yaml.Mark, what: str, cure: str) -> None:
        self.faults.append(Fault(code, _place(self.name, mark), what, cure))


def _scalar(node: yaml.ScalarNode) -> Any:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if node.style is None and _digits(node.value):  # also 09…, for some readers a string, for some a number
        return int(node.value) if len(node.value) <= 18 else -1
    match kind:
        case "null":
            return None
        case "bool":
            return node.value.lower() in ("true", "yes", "on")
        case "int" | "float" | "timestamp" | "binary":
            return float("nan")  # neither text nor a number that any key here takes: refused, shown as written
        case _:
            return node.value


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _refusals(events: Iterable[yaml.Event], name: str) -> Iterator[Fault]:
    """Find what is not accepted while the file is being read; stop where nesting is too deep.

    Composing nodes is recursive, and takes the longer for each character the deeper it is: a file of brackets alone
    would take hours.
    """
    depth = documents = 0
    for event in events:
        place = _place(name, event.start_mark)
        fault = _refused(event, place)
        if fault:
            yield fault
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.DocumentStartEvent) and documents > 1:
            what = "a second document begins here."
            yield Fault("targets-yaml", place, what, "Write one document; drop the `---`.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            what = "lists and mappings are nested too deeply here."
            yield Fault("targets-yaml", place, what, "Delete this; no setting is nested so deeply.")
            return


def _refused(event: yaml.Event, place: str) -> Fault | None:
    anchor = getattr(event, "anchor", None)
    if anchor:
        what = f"anchors and aliases (`{anchor}`) are not allowed here."
        return Fault("targets-alias", place, what, "Move repeated settings to `defaults` or to a group.")
    tag = getattr(event, "tag", None)
    if tag is not None:
        return Fault("targets-tag", place, f"the YAML tag `{tag}` is not allowed here.", "Write the plain value.")
    if isinstance(event, yaml.ScalarEvent) and not event.value.isprintable():
        what = "this text contains a line break or a control character."
        return Fault("targets-text", place, what, "Write it on one line, without `|` or `>`.")
    return None


def _unreadable(text: str, name: str, error: yaml.reader.ReaderError) -> Fault:
    before = text[: error.position]
    place = f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    what = f"there is a character that YAML does not allow (U+{ord(text[error.position]):04X})."
    return Fault("targets-yaml", place, what, "Delete it.")


def _place(name: str, mark: Any) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"


def position(place: str) -> tuple[int, int]:
    """Return line and column of ``file:line:column``."""
    line, column = place.rsplit(":", 2)[1:]
    return int(line), int(column)
