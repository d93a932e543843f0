"""Everything that is used from moto by private names, with the reasons. No other module imports moto.

moto is pinned (``pyproject.toml``). Its public names are ``mock_aws`` and a server; the simulator needs its parts
without them, as it authenticates, decides and keeps time itself. After an update of moto, read this list against moto's
changes, then run ``tests``: a name that is gone fails on import, an answer that changed fails there.

**Used as they are.**

- Models and parsers of requests (``OperationModel``, ``PROTOCOL_PARSERS``, ``get_service_router``, ...): botocore can
  write requests and read answers; a server needs the reverse, and moto makes it from botocore's own API models.
- Serialisers of answers (``EC2Serializer``, ...): the same.
- ``DynamoHandler``: answers a request without moto's reading of forms, files and paths (``moto_dynamodb.answer``).
- ``backends`` and ``BackendDict``: the services that the simulator does not play (DynamoDB above all), called without
  moto's mocks, URL matching and server; and how to forget all their state.

**Replaced, for speed alone.** Each replacement gives the same answers (``tests/test_moto_dynamodb.py``).

- ``ResponseSerializer.get_value``, in ``moto_answers``: asks half a dozen classes for aliases of each member that an
  answer might have; for a dictionary that depends on the service's model alone.
- ``method_names_from_class`` in ``moto.core.responses``, in ``moto_answers``: lists a class's methods for each call.
- ``UpdateExpressionParser.make``, ``DepthFirstTraverser.traverse_node_recursively``, ``Validator.validate`` and the
  ``deepcopy`` of ``validators``, in ``moto_expressions``: read and check one update expression again for each item.
- ``ConditionExpressionParser._lex_condition_expression``, in ``moto_expressions``: cuts one condition into words again.
- ``DynamoDBBackend.transact_write_items`` and the ``copy`` of ``models``, in ``moto_dynamodb``: copies the table once
  for each item of a transaction.
- ``DynamoHandler.serialized``, ``call_action`` and ``_enrich_response``, in ``moto_dynamodb``: looks at each member of
  an answer in the service's model, counts a checksum and draws a second request id.
- ``LimitedSizeDict.__setitem__``, in ``moto_dynamodb``: adds up an item's attributes with each one that is set.
- ``Table.query`` and ``Table.all_items``, in ``moto_dynamodb``: sorts the whole table for each query.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# Read when moto is first imported: without them its 1,301 images answer every unfiltered call, ...
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
# ... and botocore's account endpoints match no URL of moto's.
os.environ.setdefault("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")

from moto import backends
from moto.core.base_backend import BackendDict
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request
from moto.core.responses import ActionResult
from moto.core.routing import get_service_router
from moto.core.serialize import (
    AttributePickerContext,
    DefaultAttributePicker,
    EC2Serializer,
    JSONSerializer,
    QuerySerializer,
    ResponseSerializer,
    RestJSONSerializer,
    RestXMLSerializer,
    SerializationContext,
    XFormedAttributePicker,
)
from moto.core.utils import get_service_model
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models.dynamo_type import DynamoType, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler, DynamoResult

# Modules of which functions are replaced; Any, since no type allows that.
dynamodb: Any = importlib.import_module("moto.dynamodb.models")
responses: Any = importlib.import_module("moto.core.responses")
nodes: Any = importlib.import_module("moto.dynamodb.parsing.ast_nodes")
expressions: Any = importlib.import_module("moto.dynamodb.parsing.expressions")
validators: Any = importlib.import_module("moto.dynamodb.parsing.validators")

__all__ = [
    "PROTOCOL_PARSERS",
    "ActionResult",
    "AttributePickerContext",
    "BackendDict",
    "ConditionExpressionParser",
    "DefaultAttributePicker",
    "DynamoHandler",
    "DynamoResult",
    "DynamoType",
    "EC2Serializer",
    "JSONSerializer",
    "LimitedSizeDict",
    "OperationModel",
    "QuerySerializer",
    "Request",
    "ResponseSerializer",
    "RestJSONSerializer",
    "RestXMLSerializer",
    "SerializationContext",
    "ServiceModel",
    "Table",
    "XFormedAttributePicker",
    "backends",
    "dynamodb",
    "expressions",
    "get_service_model",
    "get_service_router",
    "nodes",
    "responses",
    "validators",
]
