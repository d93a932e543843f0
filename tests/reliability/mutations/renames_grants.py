"""Mutation: each CreateGrant has a new name, by which the grant audit does not recognize the service's grants."""

import uuid

from chalicelib.sharing import grant_names
from chalicelib.sharing.aws import grants

for module in (grants, grant_names):
    module.grant_name = lambda share, _region: f"somebody:here:{share.share_name}:{uuid.uuid4().hex}"
