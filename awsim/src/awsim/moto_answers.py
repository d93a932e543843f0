"""Makes moto's answers faster by caching what moto looks up for each call and member.

For each call, moto lists all methods of a service's class to find one. For each member of an answer, it asks half a
dozen classes for the names that the member may have in the object; for a dictionary these depend on the service's model
alone.
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
    """Patch moto for the whole process; may be repeated."""
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
    """Return the names that a member may have in a dictionary.

    ``parent`` is in the shape, too, but may change between calls. Models are kept for the process, so a member's shape
    is always the same object.
    """
    names = XFormedAttributePicker().get_possible_keys(AttributePickerContext({}, key, shape))
    return tuple(dict.fromkeys(names))
