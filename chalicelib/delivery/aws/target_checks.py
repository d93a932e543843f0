"""Reads a target's settings under the copy role: key, roles, forwarding rules and EC2's settings. For `doctor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from chalicelib.delivery.aws.iam import AwsTargetRoles
from chalicelib.delivery.aws.target_instances import AwsTargetInstances
from chalicelib.delivery.aws.target_sessions import TargetSessions
from chalicelib.delivery.instances import LaunchSite
from chalicelib.delivery.model import Delivery
from chalicelib.delivery.target_seen import LAUNCHES, AllowedImages, Facet, ForwardingRule, TargetSeen, rule_names
from chalicelib.delivery.template_rights import allowed, parameters
from chalicelib.engine.aws.refusals import code_of
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.engine.faults import Fault
from chalicelib.images.keys import KeyFacts
from chalicelib.targets.applied_file import Target

NO_RULE = "ResourceNotFoundException"


class AwsTargetChecks:
    """The port ``TargetChecks``. It asks a service that does not answer nothing more: a look has seconds."""

    def __init__(self, sessions: TargetSessions, hub: str, hub_region: str) -> None:
        self._sessions = sessions
        self._hub = hub
        self._rules = rule_names(hub, hub_region)

    def read(self, target: Target, facet: Facet) -> TargetSeen:
        carrier = Delivery("doctor", self._hub, "", target, 1, 0, "", ())
        look = _OneLook(self._sessions, carrier)
        match facet:
            case "key":
                return self._key(look, carrier)
            case "roles":
                return self._roles(look, carrier)
            case "events":
                return self._forwarding(look, carrier)
            case "settings":
                return _settings(look, self._sessions.client("ec2", "check", carrier), target)

    def _key(self, look: _OneLook, carrier: Delivery) -> TargetSeen:
        if carrier.target.mode == "share":
            return TargetSeen()  # the target encrypts nothing
        kms = self._sessions.client("kms", "check", carrier)
        described = look("DescribeKey", lambda: kms.describe_key(KeyId=carrier.target.key))
        if not described:
            return TargetSeen(refused=look.refused)
        key = KeyFacts.from_describe(described["KeyMetadata"])
        read = look("GetKeyPolicy", lambda: kms.get_key_policy(KeyId=key.arn, PolicyName="default"))
        return TargetSeen(key=key, key_policy=read.get("Policy", ""), refused=look.refused)

    def _roles(self, look: _OneLook, carrier: Delivery) -> TargetSeen:
        roles = AwsTargetRoles(self._sessions)
        policy = look("GetRolePolicy", lambda: roles.policy(carrier))
        rights = TargetSeen(allows=allowed(policy), parameters=parameters(policy)) if policy else TargetSeen()
        rights = replace(rights, launch=self._launches(look, carrier))
        if not carrier.target.service_linked_roles:
            return replace(rights, refused=look.refused)
        found = look("GetRole", lambda: dict(zip(("missing", "denied"), roles.look(carrier, "check"), strict=True)))
        look.refused.update({f"GetRole {role}": why for role, why in found.get("denied", {}).items()})
        return replace(rights, missing_roles=tuple(found.get("missing", ())), refused=look.refused)

    def _launches(self, look: _OneLook, carrier: Delivery) -> LaunchSite | None:
        """Read as the launch role where its test can run. A missing role is that test's fault, not the target's."""
        if carrier.target.launch_test is None:
            return None
        try:
            return AwsTargetInstances(self._sessions).place(carrier)
        except Refusal as refusal:
            look.refused[LAUNCHES] = refusal.fault
            return None

    def _forwarding(self, look: _OneLook, carrier: Delivery) -> TargetSeen:
        events = self._sessions.client("events", "check", carrier)
        rules = []
        for name in self._rules:
            found = look("DescribeRule", partial(events.describe_rule, Name=name), NO_RULE)
            if found:
                listed = look("ListTargetsByRule", partial(events.list_targets_by_rule, Rule=name))
                there = listed.get("Targets", ())
                buses = tuple(one["Arn"] for one in there)
                roles = tuple(one["RoleArn"] for one in there if "RoleArn" in one)
                rules.append(ForwardingRule(name, found["State"], buses, roles))
        return TargetSeen(rules=tuple(rules), refused=look.refused)


class _OneLook:
    """Asks; what is refused is written down, and after a call without an answer nothing more is asked."""

    def __init__(self, sessions: TargetSessions, carrier: Delivery) -> None:
        self.refused: dict[str, Fault] = {}
        self._sessions = sessions
        self._where = carrier.where
        self._silent = False

    def __call__(self, call: str, ask: Callable[[], Mapping[str, Any]], absent: str = "") -> Mapping[str, Any]:
        """Return the answer; an empty one where the call was refused, or answered with the code ``absent``."""
        if self._silent:
            what = f"{call} was not asked, as that service does not answer."
            self.refused[call] = Fault("aws-unreachable", self._where, what, "Run this again.")
            return {}
        try:
            with self._sessions.as_refusal(call, self._where):
                return ask()
        except Refusal as refusal:
            if refusal.kind is RefusalKind.ROLE:
                raise
            if code_of(refusal) != absent or not absent:
                self.refused[call] = refusal.fault
            self._silent = refusal.unknown
            return {}


def _settings(look: _OneLook, ec2: Any, target: Target) -> TargetSeen:
    default = look("GetEbsEncryptionByDefault", ec2.get_ebs_encryption_by_default)
    key = look("GetEbsDefaultKmsKeyId", ec2.get_ebs_default_kms_key_id)
    snapshots = look("GetSnapshotBlockPublicAccessState", ec2.get_snapshot_block_public_access_state)
    images = look("GetImageBlockPublicAccessState", ec2.get_image_block_public_access_state)
    sees_amis = target.mode == "share" or target.copy_method != "snapshots"
    allowed = look("GetAllowedImagesSettings", ec2.get_allowed_images_settings) if sees_amis else {}
    return TargetSeen(
        encrypts_by_default=default.get("EbsEncryptionByDefault"),
        default_key=key.get("KmsKeyId", ""),
        snapshots_public=snapshots.get("State", ""),
        images_public=images.get("ImageBlockPublicAccessState", ""),
        allowed_images=allowed.get("State", ""),
        allowed_by=tuple(
            AllowedImages(tuple(one.get("ImageProviders", ())), narrower=bool(one.keys() - {"ImageProviders"}))
            for one in allowed.get("ImageCriteria", ())
        ),
        allowed_by_policy=allowed.get("ManagedBy") == "declarative-policy",
        refused=look.refused,
    )
