"""Scenarios of every mode and method beside the plain copy: what people do, and the end.

Before the service comes, other people have shared the image and a snapshot and written the key's policy; in the end all
of that must be there, the policy unchanged to the last byte. Of the service's shares only those may be open that a
target keeps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from awsim.services.ec2.state import Boot
from demo import stage
from tests.reliability.scenarios import Scenario, left_over, owned, tag, wrong_end
from tests.scenarios import pointers
from tests.scenarios.scene import AUTO_SCALING, DEV, HUB, HUB_TAG, PROD, REGION, ROLE, SERVICE, TEST, Scene

if TYPE_CHECKING:
    from tests.reliability.scenario_run import ScenarioRun

FAR = "eu-west-1"
AFTERWARDS = 10 * 60
"""Seconds after a delivery in which its shares close for certain, and the records come to rest."""
ROLES = f"service_linked_roles: [{AUTO_SCALING}]"
PEOPLES = {
    "Version": "2012-10-17",
    "Id": "hand-made",
    "Statement": [
        {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": action}
        | {"Resource": "*"}
        for sid, account, action in (("Owner", HUB, "kms:*"), ("People", PROD, ["kms:Decrypt", "kms:DescribeKey"]))
    ],
}
"""The key's policy as people wrote it."""
FILE = """\
defaults:
  external_id: {external_id}
  queue_deadline: 1h
  copy_deadline: 1h
  {settings}
groups:
  default: ["{dev}"]
  dev: ["{dev}", "{test}"]
{groups}accounts:
  "{prod}": {{mode: copy}}
{accounts}"""


def apply(scene: Scene, *settings: str, groups: str = "", accounts: str = "") -> None:
    """Apply a targets file with these settings for all, and lines for more groups and some accounts."""
    names = {"dev": DEV, "test": TEST, "prod": PROD}
    more = {"settings": "\n  ".join(settings), "groups": groups, "accounts": accounts}
    scene.apply(FILE.format(external_id=stage.EXTERNAL_ID, **more, **names))


def theirs(scene: Scene) -> None:
    """Share the AMI, a snapshot and the key with an account before the service comes."""
    scene.client("kms").put_key_policy(KeyId=scene.key, PolicyName="default", Policy=json.dumps(PEOPLES, indent=3))
    scene.client("ec2").modify_image_attribute(ImageId=scene.image, LaunchPermission={"Add": [{"UserId": PROD}]})
    scene.share_before(PROD, scene.snapshots[0])


def _roles(scene: Scene) -> None:
    for account in (DEV, TEST):
        scene.world.iam.put_service_linked_role(account, SERVICE)


# --- what AWS is like, and what people do ----------------------------------------------------------------------------


def _sharing(scene: Scene) -> None:
    """Share mode with snapshots, key policy, and Auto Scaling's role."""
    _roles(scene)
    apply(scene, "mode: share", "share_snapshots: true", ROLES)
    theirs(scene)


def _by_policy(scene: Scene) -> None:
    """Copies by key policy; Auto Scaling gets a grant on the target's own key."""
    _roles(scene)
    apply(scene, "key_access: policy", ROLES)
    theirs(scene)


def _by_policy_unregistrable(scene: Scene) -> None:
    _by_policy(scene)
    scene.world.injections.refuse("RegisterImage", "InvalidParameterCombination", n=10**6)


def _by_copy_image(scene: Scene) -> None:
    """The first CopyImage comes before its grant takes effect."""
    apply(scene, "copy_method: image")
    scene.world.kms.grants.delay = (8.0, 8.0)
    theirs(scene)


def _by_slow_copy_image(scene: Scene) -> None:
    _by_copy_image(scene)
    scene.world.ec2.pace.copy = 240


def _between(scene: Scene) -> None:
    """DEV gets it in another Region only, where the hub first makes a copy of its own."""
    scene.deploy_target(DEV, FAR, CreateRole="false")
    scene.deploy_target(HUB, FAR)
    abroad = f'  "{HUB}": {{regions: [{FAR}]}}\n  "{DEV}": {{regions: [{FAR}], by_way_of_hub: true}}\n'
    apply(scene, "key_access: grant", accounts=abroad)
    theirs(scene)


def _tested(scene: Scene) -> None:
    """DEV has the launch role and a subnet for it, and each AMI must start there."""
    scene.deploy_target(LaunchTest="true")
    scene.world.ec2.seed_subnet(DEV, REGION, tags={"ami-promoter:launch-test": "true"})
    apply(scene, "launch_test: {instance_type: t3.micro, within: 10m}")
    theirs(scene)


def _tested_in_vain(scene: Scene) -> None:
    _tested(scene)
    scene.world.ec2.state.boots[DEV] = Boot(impaired="instance")


def _in_waves(scene: Scene) -> None:
    """TEST comes after DEV, whose key is disabled, so that it fails at first."""
    apply(scene, groups=f'  later: {{members: ["{TEST}"], after: default}}\n')
    scene.client("kms", DEV).disable_key(KeyId=_own_key(scene))
    theirs(scene)


def _own_key(scene: Scene) -> str:
    """The ARN of DEV's key."""
    return str(scene.client("kms", DEV).describe_key(KeyId="alias/ami-promoter")["KeyMetadata"]["Arn"])


def _stop_and_retry(run: ScenarioRun) -> None:
    """When TEST's wave is stopped, enable DEV's key and let an operator retry."""
    scene = run.scene
    scene.tag("dev")
    run.run_until(lambda: scene.notices("promotion.wave-stopped"))
    scene.client("kms", DEV).enable_key(KeyId=_own_key(scene))
    assert scene.cli("retry", scene.image)[0] == 0


def _share(run: ScenarioRun, value: str, *accounts: str) -> None:
    """Tag it and run until all deliveries are shared; then root and Auto Scaling of each account launch it."""
    scene = run.scene
    scene.tag(value)
    run.run_until(lambda: all(scene.delivery_state(account) == "shared" for account in accounts))
    broken = [f"{account}, by {by or 'root'}: {why}" for account in accounts for by, why in launches(scene, account)]
    assert not broken, f"shared, and cannot be launched: {broken}"


def launches(scene: Scene, account: str) -> list[tuple[str, str]]:
    """(who, EC2's reason) of each launch of the hub's AMI in an account that fails, by root and by Auto Scaling."""
    tried = {by: scene.launch(account, by=by) for by in ("", ROLE)}
    return [(by, why) for by, why in tried.items() if why]


def _share_and(end: Callable[[Scene], object]) -> Callable[[ScenarioRun], None]:
    """Share it with DEV, and let somebody end that."""

    def act(run: ScenarioRun) -> None:
        _share(run, "", DEV)
        end(run.scene)
        _until_withdrawn(run, DEV)

    return act


def _deregister(scene: Scene) -> None:
    scene.client("ec2").deregister_image(ImageId=scene.image)


def _disable(scene: Scene) -> None:
    scene.client("ec2").disable_image(ImageId=scene.image)


def _share_and_narrow(run: ScenarioRun) -> None:
    _share(run, "dev", DEV, TEST)
    run.scene.tag(DEV)
    _until_withdrawn(run, TEST)


def _until_withdrawn(run: ScenarioRun, account: str) -> None:
    run.run_until(lambda: run.scene.delivery_state(account) == "withdrawn")


def _tag_and_cancel(run: ScenarioRun) -> None:
    """Remove the tag while CopyImage runs."""
    scene = run.scene
    scene.tag("")
    run.run_until(lambda: scene.calls("CopyImage"))
    scene.untag()


def _with_pointer(scene: Scene, **settings: Any) -> None:
    """Copies, and a parameter that names the current AMI; AWS checks its values for half a minute."""
    pointers.with_pointers(scene, **settings)
    scene.world.ssm.validation = 30
    theirs(scene)


def _sharing_with_pointer(scene: Scene) -> None:
    """Share mode, in which a parameter names the AMI while its share stands."""
    pointers.with_pointers(scene, "share")
    scene.world.ssm.validation = 30
    theirs(scene)


def _succeeding(scene: Scene, **settings: Any) -> None:
    """DEV has an AMI of the family. The scenario is about the newer one that is made then."""
    _with_pointer(scene, **settings)
    scene.promote("")
    scene.image = pointers.successor(scene)


def _retiring(scene: Scene) -> None:
    """The older AMI is to be deprecated as soon as the newer one is there."""
    _succeeding(scene, retire={"keep": 1, "after": "1d"})


def _is_shared_and_named(scene: Scene, image: str) -> bool:
    return scene.delivery_state(DEV, image) == "shared" and pointers.shows(scene) == image


def _name_and_untag(run: ScenarioRun) -> None:
    """Share an AMI and a newer one of its family; untag the newer, then the older, as the parameter follows."""
    scene = run.scene
    newer = scene.seed("newer", tags={"family": pointers.FAMILY})
    for image in (scene.image, newer):
        scene.tag("", image)
        run.run_until(partial(_is_shared_and_named, scene, image))
    scene.untag(newer)
    run.run_until(lambda: pointers.shows(scene) == scene.image and scene.delivery_state(DEV, newer) == "withdrawn")
    scene.untag()
    run.run_until(lambda: not pointers.parameter(scene) and scene.delivery_state(DEV) == "withdrawn")


def _released(scene: Scene) -> None:
    """DEV has two AMIs of a family; its stack allows to disable them."""
    _succeeding(scene)
    pointers.deploy(scene, AllowDisable="true")
    scene.promote("")
    scene.wait(AFTERWARDS)


def _recall(run: ScenarioRun) -> None:
    """Run until the AMI is disabled."""
    assert run.scene.cli("recall", run.scene.image, "--yes", "--why", "It does not boot.")[0] == 0
    run.run_until(lambda: run.scene.delivery_state(DEV) == "recalled")


def _recall_and_lift(run: ScenarioRun) -> None:
    """Lift it as soon as the AMI is disabled, and the parameter may still be on its way."""
    _recall(run)
    assert run.scene.cli("recall", run.scene.image, "--yes", "--lift")[0] == 0
    run.run_until(lambda: run.scene.delivery_state(DEV) == "delivered")


# --- the end ---------------------------------------------------------------------------------------------------------


def _withdrawn(scene: Scene) -> list[str]:
    """No share of the service is open, and no target can launch the AMI."""
    problems = wrong_end(scene, {DEV: "withdrawn"}, "delivery.shared", "delivery.withdrawn")
    return [*problems, *_opened(scene), *_launchable(scene)]


def _withdrawn_with_image(scene: Scene) -> list[str]:
    """EC2 has also removed what people had shared of the AMI itself."""
    scene.preexisting = {share for share in scene.preexisting if not share.startswith(scene.image)}
    return _withdrawn(scene)


def _narrowed(scene: Scene) -> list[str]:
    """DEV keeps every share, and launches; TEST has none."""
    states = {DEV: "shared", TEST: "withdrawn"}
    problems = wrong_end(scene, states, "delivery.shared", "delivery.shared", "delivery.withdrawn")
    kept = ["ami-", "grant", "statement", "statement", "statement", *("snap-" for _ in scene.snapshots)]
    return [*problems, *_opened(scene, DEV, kept), *_launchable(scene, DEV)]


def _launchable(scene: Scene, *accounts: str) -> list[str]:
    """Accounts that cannot launch the hub's AMI and should, or the reverse."""
    problems = [f"{a}, by {by or 'root'}: {why}" for a in accounts for by, why in launches(scene, a)]
    others = sorted({DEV, TEST} - set(accounts))
    return problems + [f"{account} can still launch it" for account in others if len(launches(scene, account)) < 2]


def _opened(scene: Scene, account: str = "", kinds: Sequence[str] = ()) -> list[str]:
    """Open shares other than one of each kind, all to one account; and changes to others' statements."""
    found = sorted(set(scene.world.shares_open()) - scene.preexisting)
    right = all(account in share for share in found) and len(found) == len(kinds)
    right &= all(sum(kind in share for share in found) == kinds.count(kind) for kind in set(kinds))
    text = scene.client("kms").get_key_policy(KeyId=scene.key)["Policy"]
    rest = [one for one in json.loads(text)["Statement"] if not one["Sid"].startswith("AmiPromoter")]
    same = text == json.dumps(PEOPLES, indent=3) if not kinds else rest == PEOPLES["Statement"]
    return [*([] if right else [f"open: {found}"]), *([] if same else [f"the key's policy is now {text}"])]


def _delivered(scene: Scene) -> list[str]:
    """One AMI on its own snapshots, that launches; no share of the service is open at the source."""
    problems = wrong_end(scene, {DEV: "delivered"}, "delivery.delivered")
    return [*problems, *_opened(scene), *owned(scene, DEV, REGION)]


def _named(scene: Scene) -> list[str]:
    """The parameter names the newer AMI, the notice and its tags say so; the older one is deprecated."""
    problems = [*wrong_end(scene, {DEV: "delivered"}, "delivery.delivered"), *_opened(scene)]
    (image, sent) = pointers.shows(scene), pointers.notice(scene)["pointer"]
    if sent != {"parameter": pointers.NAME, "image": image, "fault": None, "pinned": None}:
        problems.append(f"sent {sent} of {image}")
    if pointers.parameter_tags(scene).get("ami-promoter:source-image") != scene.image:
        problems.append(f"the parameter has the tags {pointers.parameter_tags(scene)}")
    return [*problems, *_shown(scene, (True, False), "available", older=False), *_written(scene, 2)]


def _unnamed(scene: Scene) -> list[str]:
    """The last of its family took the parameter along."""
    shown = pointers.parameter(scene)
    problems = wrong_end(scene, {DEV: "withdrawn"}, "delivery.shared", "delivery.withdrawn")
    return [*problems, *_opened(scene), *([f"the parameter is left: {shown}"] if shown else [])]


def _recalled(scene: Scene) -> list[str]:
    """Its AMI is disabled and deprecated, and the parameter names the one before, which is as it was."""
    problems = wrong_end(scene, {DEV: "recalled"}, "delivery.delivered", "delivery.recalled")
    return [*problems, *_shown(scene, (False, True), "disabled", older=True), *_written(scene, 3), *_opened(scene)]


def _restored(scene: Scene) -> list[str]:
    """All is as before the recall. The parameter may have named the older AMI meanwhile."""
    sent = ("delivery.delivered", "delivery.recalled", "delivery.delivered")
    problems = wrong_end(scene, {DEV: "delivered"}, *sent)
    return [
        *problems,
        *_shown(scene, (False, False), "available", older=False),
        *_written(scene, 2, 4),
        *_opened(scene),
    ]


def _shown(scene: Scene, deprecated: tuple[bool, bool], state: str, *, older: bool) -> list[str]:
    """What is wrong with DEV's two AMIs, and with the parameter.

    ``state`` is that of the newer one; ``older``: whether the parameter names the older one.
    """
    shown = scene.client("ec2", DEV).describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
    first, second = sorted(shown, key=lambda one: one["CreationDate"])
    expected = [*zip(("available", state), deprecated, strict=True)]
    found = [(one["State"], "DeprecationTime" in one) for one in (first, second)]
    named = (first if older else second)["ImageId"]
    problems = [] if found == expected else [f"(state, deprecated) of the AMIs: {found}"]
    return problems if pointers.shows(scene) == named else [*problems, f"the parameter names not {named}"]


def _written(scene: Scene, *times: int) -> list[str]:
    version = pointers.parameter(scene).get("Version")
    return [] if version in times else [f"the parameter was written {version} times"]


def _delivered_to_scale(scene: Scene) -> list[str]:
    """Auto Scaling launches it, too: by one grant on the target's own key."""
    (image,) = _images(scene, DEV, REGION)
    why = scene.launch(DEV, image, by=ROLE)
    problems = [f"Auto Scaling cannot launch it: {why}"] if why else []
    return [*problems, *_granted(scene, 1), *_delivered(scene)]


def _failed_to_register(scene: Scene) -> list[str]:
    """The grant to Auto Scaling is revoked, and nothing else is left."""
    return [
        *wrong_end(scene, {DEV: "failed"}, "delivery.failed"),
        *_opened(scene),
        *_granted(scene, 0),
        *left_over(scene),
    ]


def _booted(scene: Scene) -> list[str]:
    """One instance ran, and is terminated."""
    return [*_instances(scene), *_delivered(scene)]


def _not_booted(scene: Scene) -> list[str]:
    """Nothing of the AMI is left, nor its instance."""
    failed = wrong_end(scene, {DEV: "failed"}, "delivery.failed")
    return [*failed, *_opened(scene), *left_over(scene), *_instances(scene)]


def _instances(scene: Scene) -> list[str]:
    """What is wrong with the only instance that the service has started; EC2 shows it for an hour."""
    found = scene.client("ec2", DEV).describe_instances(Filters=[{"Name": "tag-key", "Values": [HUB_TAG]}])
    states = [one["State"]["Name"] for every in found["Reservations"] for one in every["Instances"]]
    return [] if states == ["terminated"] else [f"instances in DEV: {states}"]


def _one_after_the_other(scene: Scene) -> list[str]:
    """Both have it and can launch it."""
    sent = ("delivery.failed", "promotion.wave-stopped", "delivery.delivered", "delivery.delivered")
    problems = wrong_end(scene, {DEV: "delivered", TEST: "delivered"}, *sent)
    why = scene.launch(TEST, scene.delivery(TEST)["image"])
    return [
        *problems,
        *_opened(scene),
        *owned(scene, DEV, REGION),
        *([f"TEST cannot launch it: {why}"] if why else []),
    ]


def _cancelled(scene: Scene) -> list[str]:
    """Cancelled; or delivered, if the removal of the tag was read when the AMI was available."""
    if scene.delivery_state(DEV) == "delivered":
        return _delivered(scene)
    return [*wrong_end(scene, {DEV: "cancelled"}, "delivery.cancelled"), *_opened(scene), *left_over(scene)]


def _delivered_abroad(scene: Scene) -> list[str]:
    """The hub's own copy stays beside the target's; each on its own snapshots."""
    problems = wrong_end(scene, {DEV: "delivered", HUB: "delivered"}, "delivery.delivered", "delivery.delivered")
    return [*problems, *_opened(scene), *owned(scene, DEV, FAR), *owned(scene, HUB, FAR)]


def _images(scene: Scene, account: str, region: str) -> list[str]:
    shown = scene.world.client("ec2", account, region).describe_images(Owners=["self"])["Images"]
    return [image["ImageId"] for image in shown if image["State"] == "available"]


def _granted(scene: Scene, count: int) -> list[str]:
    """Grants to service-linked roles on the target's own key, if their number is wrong."""
    shown = scene.client("kms", DEV).list_grants(KeyId=_own_key(scene))["Grants"]
    found = [g for g in shown if g["GranteePrincipal"].endswith(ROLE)]
    return [] if len(found) == count else [f"{len(found)} grants to Auto Scaling on the target's key"]


WITHDRAWN = Scenario("shared and withdrawn", _share_and(Scene.untag), _withdrawn, _sharing)
DEREGISTERED = Scenario("shared and deregistered", _share_and(_deregister), _withdrawn_with_image, _sharing)
DISABLED = Scenario("shared and disabled", _share_and(_disable), _withdrawn_with_image, _sharing)
NARROWED = Scenario("shared and narrowed", _share_and_narrow, _narrowed, _sharing)
BY_POLICY = Scenario("by policy, for Auto Scaling", tag, _delivered_to_scale, _by_policy)
BY_POLICY_FAILED = Scenario("by policy, failed", tag, _failed_to_register, _by_policy_unregistrable)
COPY_IMAGE = Scenario("by CopyImage", tag, _delivered, _by_copy_image)
COPY_IMAGE_CANCELLED = Scenario("by CopyImage, cancelled", _tag_and_cancel, _cancelled, _by_slow_copy_image)
WAVES = Scenario("in waves", _stop_and_retry, _one_after_the_other, _in_waves)
NAMED = Scenario("named by a parameter, the one before retired", tag, _named, _retiring)
UNNAMED = Scenario("named and withdrawn", _name_and_untag, _unnamed, _sharing_with_pointer)
RECALLED = Scenario("recalled", _recall, _recalled, _released)
RESTORED = Scenario("recalled and restored", _recall_and_lift, _restored, _released)
TESTED = Scenario("launch test", tag, _booted, _tested)
TESTED_IN_VAIN = Scenario("launch test, failed", tag, _not_booted, _tested_in_vain)
BETWEEN = Scenario("by way of the hub", tag, _delivered_abroad, _between)

MODES = {one.name: one for one in list(vars().values()) if isinstance(one, Scenario)}
"""Every scenario above, by its name."""
