"""Each call of CopyImage has a client token of its own, and a name that nobody looks for."""

import uuid

from chalicelib.adapters.target import AwsTarget

_client = AwsTarget._client


class Anew:
    """A client of EC2 whose copies are always new ones."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def copy_image(self, **asked):
        """Ask for another AMI than the last time."""
        return self._client.copy_image(**{**asked, "ClientToken": uuid.uuid4().hex})


AwsTarget._client = lambda self, service, *rest: Anew(_client(self, service, *rest))
AwsTarget.find_image = lambda _self, _delivery: ()
