"""The form in which items are stored: this version's, and the step from the last one's to it.

Every item whose body is decoded bears ``schema``; one that bears none was written before they did, in form 1. A version
reads its own form and the one before, and writes its own. A newer item is not guessed at, and an older one is not
either: whoever skips a version deploys the one between first (docs/operations/upgrade.md).

To raise it: add 1 to ``CURRENT.version``, and give ``CURRENT.steps`` a function for each kind of item whose body has
changed. It takes the old body (plain JSON values) and returns the new one; the form before the last is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.errors import NewerSchema, Unreadable

Step = Callable[[Any], Any]
"""From a body of the last form to one of this."""


FIRST = 1
"""The form with which it began."""


@dataclass(frozen=True, slots=True)
class Forms:
    """The form that is written, and for each kind of item the step to it from the last; no step: nothing changed."""

    version: int
    steps: Mapping[str, Step] = field(default_factory=dict)

    def check(self, where: str, schema: Any) -> None:
        """Raise NewerSchema or Unreadable for a form that this version does not read. ``where`` is for the message."""
        if not isinstance(schema, int) or schema < FIRST:
            raise Unreadable(f"{where} has schema {schema!r:.100}, which is none.")
        if schema > self.version:
            raise NewerSchema(
                f"{where} has schema {schema}, and this version reads up to {self.version}; upgrade the stack."
            )
        if schema < self.version - 1:
            raise Unreadable(
                f"{where} has schema {schema}, and this version reads {self.version - 1} and {self.version}; "
                "deploy the versions between, one by one."
            )

    def body(self, kind: str, where: str, schema: Any, body: Any) -> Any:
        """Return a body in this version's form. Raises NewerSchema, or Unreadable where the step cannot take it."""
        self.check(where, schema)
        step = self.steps.get(kind)
        if schema == self.version or step is None:
            return body
        try:
            return step(body)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unreadable(f"{where} cannot be brought from schema {schema} to {self.version}: {error!r}.") from error


CURRENT = Forms(2)
"""2: ways of sharing. Every member that came has a default, so no item of form 1 needs a step."""
"""What this version of the service writes and reads."""
