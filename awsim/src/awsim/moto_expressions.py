"""Makes moto's expressions faster: reads and checks each expression once.

Moto's validator copies a tree before it changes it, so trees can be cached by their text. Checks that do not look at
the item depend on text, names and the table's keys alone, so they run once for these; only a success is cached. Walking
a tree asks a class's map for each node; here once for each kind of node. Most updates set, count and remove whole
attributes: such an expression, once moto has accepted it, is walked no more. A condition's text is cut into words once.
Together these took a third of a simulation's time.
"""

from __future__ import annotations

import copy
import functools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from awsim.moto_parts import ConditionExpressionParser, DynamoType, expressions, nodes, validators

Node = nodes.Node
OF_THE_TEXT = (
    validators.ActionCountValidator,
    validators.OverlappingPathsValidator,
    validators.UpdateHashRangeKeyValidator,
)
"""Processors that read only expression, names and the table's keys, change nothing, and run first."""

_make = expressions.UpdateExpressionParser.make
_cut: Any = ConditionExpressionParser._lex_condition_expression  # noqa: SLF001 - no public name makes these words
_sound: set[Any] = set()
"""(text, names, keys of the table) for which these processors have found no error, nor the others in an item."""


def patch() -> None:
    """Patch moto for the whole process; may be repeated."""
    expressions.UpdateExpressionParser.make = staticmethod(_read)
    nodes.DepthFirstTraverser.traverse_node_recursively = _traverse
    validators.Validator.validate = _validate
    validators.deepcopy = _deepcopy
    changed: Any = ConditionExpressionParser  # mypy refuses assigning a method on a class
    changed._lex_condition_expression = lambda parser: deque(_words(parser.condition_expression))  # noqa: SLF001


@functools.lru_cache(maxsize=4096)
def _words(condition: str) -> tuple[Any, ...]:
    return tuple(_cut(ConditionExpressionParser(condition, None, None)))


@functools.lru_cache(maxsize=4096)
def _read(text: str) -> Any:
    tree = _make(text)
    tree.text = text
    return tree


def _validate(self: Any) -> Any:
    """Do what ``Validator.validate`` does, except checks that are known to succeed."""
    tree, text = self.node_to_validate, getattr(self.node_to_validate, "text", None)
    names = frozenset((self.expression_attribute_names or {}).items())
    known = (text, names, tuple(self.table.table_key_attrs))
    passes = text is not None and known in _sound
    if passes and (plain := _plain(self, str(text))) is not None:
        return plain
    tree = _copied(tree)
    for processor in self.processors:
        if not (passes and isinstance(processor, OF_THE_TEXT)):
            tree = processor.traverse(tree)
    if text is not None and len(_sound) < 4096:
        _sound.add(known)
    return tree


def _plain(self: Any, text: str) -> Any:
    """Make the actions of an update of whole attributes; None: it is none, or moto must say what is wrong with it."""
    actions = []
    for kind, path, operands, sign in _whole(text):
        found = [_value(self, *operand) for operand in operands]
        if any(one is None for one in found) or (sign and any(one.type != "N" for one in found)):
            return None
        value, name = found[-1] if found else None, path.children[0].children[0]
        if value is None:
            actions.append(kind([path]))
            continue
        if sign:
            value = found[0] + value if sign == "+" else found[0] - value
        mistyped = any(one["AttributeName"] == name and one["AttributeType"] != value.type for one in self.table.attr)
        if mistyped or (name in self.table.attribute_keys and not value.value):
            return None
        actions.append(kind([path, nodes.DDBTypedValue(value)]))
    return _Actions(actions) if actions else None


def _value(self: Any, attribute: str | None, given: str | None) -> Any:
    """Return the item's value of an attribute, or else one that is given; None: there is neither."""
    name = None if attribute is None else (self.expression_attribute_names or {}).get(attribute, attribute)
    if name in self.item.attrs:
        return self.item.attrs[name]
    values = self.expression_attribute_values or {}
    return DynamoType(values[given]) if given in values else None


class _Actions(nodes.Node):  # type: ignore[misc]
    """The actions of an update, for moto's executor."""

    def normalize(self) -> None:
        """Change nothing: moto sorts here the actions that remove members of lists, and there are none of these."""


Operand = tuple[str | None, str | None]
"""An attribute, and the name of a value that counts if it is missing."""


@functools.lru_cache(maxsize=4096)
def _whole(text: str) -> Sequence[tuple[Any, Any, Sequence[Operand], str]]:
    """Return an expression's actions, if all concern whole attributes; else nothing."""
    found = [_whole_action(action) for action in _read(text).find_clauses(ACTIONS)]
    return [one for one in found if one is not None] if None not in found else ()


def _whole_action(action: Any) -> tuple[Any, Any, Sequence[Operand], str] | None:
    """Return kind, path, operands and the sign between them; None for any other action."""
    path, *values = action.children
    if not _is_attribute(path) or type(action) is nodes.UpdateExpressionDeleteAction:
        return None
    whole = type(action) is nodes.UpdateExpressionSetAction
    parts = [part for value in values for part in (value.children if whole else [value])]
    operands = [_operand(part) for part in parts[::2]]
    if None in operands or len(parts) > 3:
        return None
    sign = parts[1].get_operator() if len(parts) == 3 else ""
    return type(action), path, [one for one in operands if one is not None], sign


def _operand(node: Any) -> Operand | None:
    """Return a value, an attribute, or if_not_exists of both; None for anything else."""
    if isinstance(node, nodes.ExpressionAttributeValue):
        return None, node.get_value_name()
    if _is_attribute(node):
        return node.children[0].children[0], None
    if isinstance(node, nodes.UpdateExpressionFunction) and node.get_function_name() == "if_not_exists":
        _, attribute, given = node.children
        if _is_attribute(attribute) and isinstance(given, nodes.ExpressionAttributeValue):
            return attribute.children[0].children[0], given.get_value_name()
    return None


def _is_attribute(node: Any) -> bool:
    return isinstance(node, nodes.UpdateExpressionPath) and len(node.children) == 1


ACTIONS = [
    nodes.UpdateExpressionSetAction,
    nodes.UpdateExpressionRemoveAction,
    nodes.UpdateExpressionAddAction,
    nodes.UpdateExpressionDeleteAction,
]


def _traverse(self: Any, node: Any, child_id: int = -1) -> Any:
    """Do what ``DepthFirstTraverser.traverse_node_recursively`` does."""
    if not _is_node(type(node)):
        return node
    hook = self.pre_processing_of_child if _has_hook(type(self)) else None
    return _walk(self, node, child_id, hook, _concerned.setdefault(type(self), {}))


def _walk(processor: Any, node: Any, child_id: int, hook: Any, concerned: dict[type, bool]) -> Any:
    """Walk a node's children, then the node. ``concerned``: whether the processor handles a kind of node, if known."""
    parent = node.parent
    for place, child in enumerate(node.children or ()):
        if hook:
            hook(node, place)
        if _is_node(type(child)):
            _walk(processor, child, place, hook, concerned)
    kind = type(node)
    known = concerned.get(kind)
    if known is None:
        known = concerned[kind] = issubclass(kind, processor.nodes_to_be_processed())
    if known:
        node = processor.process(node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


_concerned: dict[type, dict[type, bool]] = {}
"""A processor's class -> the kinds of nodes that it handles, and those that it does not."""


_has_hook: Callable[[Any], bool] = functools.cache(
    lambda kind: kind.pre_processing_of_child is not nodes.DepthFirstTraverser.pre_processing_of_child
)
_is_node: Callable[[Any], bool] = functools.cache(lambda kind: issubclass(kind, Node))
"""Whether a class is a node's; cached, because asking an abstract class is slow."""


def _deepcopy(value: Any) -> Any:
    """Copy a value; a tree is copied where it is about to be changed."""
    return value if _is_node(type(value)) else copy.deepcopy(value)


def _copied(node: Any) -> Any:
    """Copy a tree; below its nodes are only texts and numbers."""
    new = object.__new__(type(node))
    new.__dict__.update(node.__dict__)
    if node.children is not None:
        new.children = [_copied(child) if _is_node(type(child)) else child for child in node.children]
        for child in new.children:
            if _is_node(type(child)):
                child.parent = new
    return new
