"""Classes of the AWS SDK, imported when the first of them is used.

So the command line's help and completion import this package without the SDK. A function imports the SDK at its start
(``entry.bootstrap``), when Lambda gives it more of a processor than later.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "boto3.dynamodb.types": ("TypeDeserializer", "TypeSerializer"),
    "boto3.session": ("Session",),
    "botocore.config": ("Config",),
    "botocore.exceptions": (
        "BotoCoreError",
        "ClientError",
        "ConfigParseError",
        "EndpointConnectionError",
        "NoCredentialsError",
        "ProfileNotFound",
    ),
    "botocore.parsers": ("ResponseParserError",),
    "botocore.session": ("get_session",),
}
"""The names of each module."""


def __getattr__(name: str) -> Any:
    """Import a name's module; see PEP 562."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(name)
