"""Makes moto's answers affordable: the same ones, without looking for the names of methods and members each time.

For each call, moto lists all methods of a service's class to find one; for a class that is the same list each time. For
each member that an answer might have, moto asks half a dozen classes how else the member may be called in whatever
object holds it. For a dictionary that depends on the service's model alone.
"""

from __future__ import annotations

import functools
from typing import Any

from awsim.moto_parts import (
    AttributePickerContext,
    DefaultAttributePicker,
    ResponseSerializer,
    XFormedAttributePicker,
    responses,
)

_get_value: Any = ResponseSerializer.get_value
_methods = functools.cache(responses.method_names_from_class)


def patch() -> None:
    """Put this into moto, for the whole process; doing so again changes nothing."""
    changed: Any = ResponseSerializer  # mypy refuses assigning a method on a class
    changed.get_value = _value
    responses.method_names_from_class = _methods


def _value(self: Any, value: Any, key: str, shape: Any) -> Any:
    """Do what ``ResponseSerializer.get_value`` does."""
    picker = self._value_picker
    if type(value) is dict and "." not in key:
        if type(picker) is DefaultAttributePicker:
            return value.get(key)
        if type(picker) is XFormedAttributePicker and not picker.response_transformers:
            for name in _names(key, shape, getattr(shape, "parent", None)):
                if name in value:
                    return value[name]
            return None
    return _get_value(self, value, key, shape)


@functools.cache
def _names(key: str, shape: Any, parent: Any) -> tuple[str, ...]:
    """What a member may be called in a dictionary. ``parent`` stands in the shape, too, but may change between calls.

    Models are kept for the process, so a member's shape is the same each time.
    """
    names = XFormedAttributePicker().get_possible_keys(AttributePickerContext({}, key, shape))
    return tuple(dict.fromkeys(names))
