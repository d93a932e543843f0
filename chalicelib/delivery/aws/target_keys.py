"""Reads keys from a target: its own key, and the source keys as the target sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
        kms = self._sessions.client("kms", "look", delivery)
        try:
            with self._sessions.as_refusal("DescribeKey", delivery.where):
                return KeyFacts.from_describe(kms.describe_key(KeyId=delivery.target.key)["KeyMetadata"]), ""
        except Refusal as refusal:
            if refusal.kind is not RefusalKind.DENIED:
                raise
            return None, refusal.fault.what

    def source_keys(self, delivery: Delivery) -> dict[str, str]:
        if delivery.target.key_access != "none":
            return {}
        region = delivery.target.region if delivery.hub_copy.delivery else self._hub_region
        kms = self._sessions.client("kms", "look", delivery, region=region)
        seen: dict[str, str] = {}
        for key in delivery.source_keys:
            try:
                with self._sessions.as_refusal("DescribeKey", f"{delivery.where}, {key}"):
                    kms.describe_key(KeyId=key)
                seen[key] = ""
            except Refusal as refusal:
                if refusal.kind is not RefusalKind.DENIED:
                    raise
                seen[key] = refusal.fault.what
        return seen

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
