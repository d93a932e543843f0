"""Mutation: the intent of CopySnapshot is not on record before the call."""

from dataclasses import replace

from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import intents, outstanding

_record_intent = intents.record_intent


def record_intent(record, commands, now, nonces):
    """Leave the record unchanged if copies are to be started."""
    if any(isinstance(command, do.StartCopy) for command in commands):
        return replace(record, due_at=outstanding.due_at(record))
    return _record_intent(record, commands, now, nonces)


intents.record_intent = record_intent
