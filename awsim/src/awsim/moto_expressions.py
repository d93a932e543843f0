"""Makes moto's update expressions faster: reads and checks each expression once.

Moto's validator copies a tree before it changes it, so trees can be cached by their text. Checks that do not look at
the item depend on text, names and the table's keys alone, so they run once for these; only a success is cached. Walking
a tree asks a class's map for each node; here once for each kind of node. The three took a third of a simulation's time.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from awsim.moto_parts import expressions, nodes, validators

Node = nodes.Node
OF_THE_TEXT = (
    validators.ActionCountValidator,
    validators.OverlappingPathsValidator,
    validators.UpdateHashRangeKeyValidator,
)
"""Processors that read only expression, names and the table's keys, change nothing, and run first."""

_make = expressions.UpdateExpressionParser.make
_sound: set[Any] = set()
"""(text, names, keys of the table) for which these processors have found no error."""


def patch() -> None:
    """Patch moto for the whole process; may be repeated."""
    expressions.UpdateExpressionParser.make = staticmethod(_read)
    nodes.DepthFirstTraverser.traverse_node_recursively = _traverse
    validators.Validator.validate = _validate
    validators.deepcopy = _deepcopy


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
    for processor in self.processors:
        if not (passes and isinstance(processor, OF_THE_TEXT)):
            tree = processor.traverse(tree)
    if text is not None and len(_sound) < 4096:
        _sound.add(known)
    return tree


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
    return _copied(value) if _is_node(type(value)) else copy.deepcopy(value)


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
