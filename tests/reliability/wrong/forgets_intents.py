"""The intent of CopySnapshot is not on record before the call."""

from dataclasses import replace

from chalicelib.core.delivery import commands as do
from chalicelib.core.delivery import machine
from chalicelib.service.deliveries import Deliveries

_intend = Deliveries.intend


def intend(self, record, commands, now):
    """Leave the record as it is where copies are to be started."""
    if any(isinstance(command, do.StartCopy) for command in commands):
        return replace(record, due_at=machine.due_at(record))
    return _intend(self, record, commands, now)


Deliveries.intend = intend
