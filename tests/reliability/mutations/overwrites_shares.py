"""Mutation: a write of a share overwrites the other invocation's, and each CreateGrant has a new name."""

import uuid
from dataclasses import replace

from chalicelib.adapters import adapters
from chalicelib.adapters.dynamo.ledger import DynamoLedger
from chalicelib.core.sharing import share

_save = DynamoLedger.save


def save(self, shares, *rest, **more):
    """Write as if the shares had just been read."""
    versions = {(s.resource, s.share_name): s.version for one in shares for s in self.shares(one.resource)}
    fresh = [replace(s, version=versions.get((s.resource, s.share_name), s.version)) for s in shares]
    return _save(self, fresh, *rest, **more)


DynamoLedger.save = save

for module in (adapters, share):
    module.grant_name = lambda share, _region: f"somebody:here:{share.share_name}:{uuid.uuid4().hex}"
