"""Each call of CreateGrant has a name of its own."""

import uuid

from chalicelib.adapters import doors
from chalicelib.core import share

for module in (doors, share):
    module.grant_name = lambda share, region: f"ami-promoter:{region}:{share.holder_key}:{uuid.uuid4().hex}"
