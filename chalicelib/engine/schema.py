"""The forms in which items are stored, and how a version of the service reads those of the versions before it.

Every item whose body is decoded has ``schema``, the number of its kind's form: the names, types and defaults of all its
members (tools/forms.py), as bodies leave out members that have their default. Who changes the form of a kind adds a
step to ``FORMS``. A worker writes the newest form with its next write, and a record at rest keeps its own always, so
no step is ever taken out.

Older code meets newer forms while a stack is deployed, and after a rollback. It leaves such a record as it is, still
due, until code that reads it runs; removals go on by what stands beside the body (docs/operations/upgrade.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.engine import codec
from chalicelib.engine.errors import NewerSchema, Unreadable
from chalicelib.engine.stored import compact

FIRST = 2
"""The oldest form of every kind."""

Step = Callable[[Any], Any]
"""Returns the body of the next form, as JSON values. May raise for a damaged one."""


def grown(body: Any) -> Any:
    """Return a body as it is: since the form before, only members with defaults, or values of enums, have come."""
    return body


@dataclass(frozen=True)
class Forms:
    """The forms of a version of the service. ``steps``: by the items' ``kind``, from ``FIRST`` to the newest form.

    An ``image`` can only grow, because its name is the digest of its body.
    """

    steps: Mapping[str, Sequence[Step]]

    def newest(self, kind: str) -> int:
        """Return the form in which this version writes."""
        return FIRST + len(self.steps.get(kind, ()))

    def text(self, where: str, item: Mapping[str, Any]) -> str:
        """Return an item's body in the newest form; it may be damaged. ``where`` is for the message.

        Raises NewerSchema, Unreadable, and KeyError if there is no body.
        """
        schema, kind = item.get("schema"), str(item.get("kind"))
        newest = self.newest(kind)
        if not isinstance(schema, int) or schema < FIRST:
            raise Unreadable(f"{where} has schema {schema!r:.100}, and this version reads {FIRST} to {newest}.")
        if schema > newest:
            raise NewerSchema(f"{where} has schema {schema}, and this version reads up to {newest}; upgrade the stack.")
        text: str = item["body"]
        try:
            for step in self.steps.get(kind, ())[schema - FIRST :]:
                text = compact(step(codec.parsed_json(text)))
        except Exception as error:  # a step that fails, however, must keep no share open
            raise Unreadable(f"{where} cannot be read: {error!r:.500}.") from error
        return text


FORMS = Forms({})
