"""Each call of CreateGrant has a name of its own."""

import uuid

from chalicelib.core.share import Share

Share.grant_name = property(lambda share: f"ami-promoter-{share.holder_key}-{uuid.uuid4().hex}")
