"""Mutation: a write of a record overwrites what others have written meanwhile."""

from dataclasses import replace

from chalicelib.engine.store.records import DynamoRecords

_save = DynamoRecords.save


def save(self, before, *rest, **more):
    """Write as if the record had just been read."""
    while True:
        now = self.read(before.key)
        saved = _save(self, replace(before, version=now.version), *rest, **more)
        if saved is not None:
            return saved


DynamoRecords.save = save
