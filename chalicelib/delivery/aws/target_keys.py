"""Reads keys from a target: its own key, and the source keys as the target sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.model import Delivery
from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.images.keys import KeyFacts
from chalicelib.sharing.aws.key_policies import as_policy_refusal, policy_of


class AwsTargetKeys:
    """The port ``TargetKeys``. ``own`` makes clients of the function's own role."""

    def __init__(self, sessions: TargetSessions, own: Sessions, hub_region: str) -> None:
        self._sessions = sessions
        self._own = own
        self._hub_region = hub_region

    def describe(self, delivery: Delivery) -> tuple[KeyFacts | None, str]:
        found = self._described(self._sessions.client("kms", "look", delivery), delivery.target.key, delivery.where)
        return (None, found.what) if isinstance(found, Fault) else (found, "")

    def source_keys(self, delivery: Delivery) -> dict[str, str]:
        if delivery.target.key_access != "none":
            return {}
        region = delivery.target.region if delivery.target.by_way_of else self._hub_region
        kms = self._sessions.client("kms", "look", delivery, region=region)
        found = {key: self._described(kms, key, f"{delivery.where}, {key}") for key in delivery.source_keys}
        return {key: one.what if isinstance(one, Fault) else "" for key, one in found.items()}

    def _described(self, kms: Any, key: str, where: str) -> KeyFacts | Fault:
        """Describe a key; return AWS's refusal if the session may not."""
        try:
            with self._sessions.as_refusal("DescribeKey", where):
                return KeyFacts.from_describe(kms.describe_key(KeyId=key)["KeyMetadata"])
        except Refusal as refusal:
            if refusal.kind is not RefusalKind.DENIED:
                raise
            return refusal.fault

    def policies(self, delivery: Delivery, keys: Collection[str]) -> Mapping[str, str | Fault]:
        """Under the function's own role."""
        read: dict[str, str | Fault] = {}
        for key in keys:
            try:
                with as_policy_refusal("GetKeyPolicy", f"account {delivery.hub} (hub), {key}"):
                    read[key] = policy_of(self._own, key)
            except Refusal as refusal:
                if refusal.kind is not RefusalKind.DENIED:
                    raise
                read[key] = refusal.fault
        return read
