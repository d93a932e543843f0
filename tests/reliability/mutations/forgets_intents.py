"""Mutation: the intent of CopySnapshot is not on record before the call."""

from dataclasses import replace

from chalicelib.delivery import machine
from chalicelib.delivery.phases.copying import StartCopy

_record_intent = machine.record_intent


def record_intent(record, commands, now, nonces):
    """Leave the record unchanged if copies are to be started."""
    if any(isinstance(command, StartCopy) for command in commands):
        return replace(record, due_at=machine.due_at(record))
    return _record_intent(record, commands, now, nonces)


machine.record_intent = record_intent
