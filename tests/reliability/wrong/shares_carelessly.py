"""A share is written over whatever the other invocation has written, and each call of CreateGrant has its own name."""

import uuid
from dataclasses import replace

from chalicelib.adapters import adapters
from chalicelib.adapters.dynamo.ledger import DynamoLedger
from chalicelib.core.sharing import share

_save = DynamoLedger.save


def save(self, shares, *rest, **more):
    """Write as if the shares had been read just now."""
    versions = {(s.resource, s.holder_key): s.version for one in shares for s in self.shares(one.resource)}
    fresh = [replace(s, version=versions.get((s.resource, s.holder_key), s.version)) for s in shares]
    return _save(self, fresh, *rest, **more)


DynamoLedger.save = save

for module in (adapters, share):
    module.grant_name = lambda share, _region: f"somebody:here:{share.holder_key}:{uuid.uuid4().hex}"
