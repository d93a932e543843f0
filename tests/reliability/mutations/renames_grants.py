"""Mutation: each CreateGrant has a new name, by which the grant audit does not recognize the service's grants."""

import uuid

from chalicelib.adapters import adapters
from chalicelib.core.sharing import share

for module in (adapters, share):
    module.grant_name = lambda share, _region: f"somebody:here:{share.share_name}:{uuid.uuid4().hex}"
