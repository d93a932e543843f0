"""Classes of the AWS SDK, imported when the first of them is used.

So the command line's help and completion import this package without the SDK. A function imports the SDK at its start
(``entry.bootstrap``), when Lambda gives it more of a processor than later.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConfigParseError,
        EndpointConnectionError,
        NoCredentialsError,
        ProfileNotFound,
    )
    from botocore.parsers import ResponseParserError
    from botocore.session import get_session

__all__ = [
    "BotoCoreError",
    "ClientError",
    "Config",
    "ConfigParseError",
    "EndpointConnectionError",
    "NoCredentialsError",
    "ProfileNotFound",
    "ResponseParserError",
    "Session",
    "TypeDeserializer",
    "TypeSerializer",
    "get_session",
]

_HOMES = {
    "boto3.dynamodb.types": ("TypeDeserializer", "TypeSerializer"),
    "boto3.session": ("Session",),
    "botocore.config": ("Config",),
    "botocore.parsers": ("ResponseParserError",),
    "botocore.session": ("get_session",),
}
"""The module of each name; all others are botocore's exceptions."""


def __getattr__(name: str) -> Any:
    """Import a name's module; see PEP 562."""
    if name not in __all__:
        raise AttributeError(name)
    home = next((module for module, names in _HOMES.items() if name in names), "botocore.exceptions")
    return getattr(import_module(home), name)
