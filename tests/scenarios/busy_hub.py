"""A hub after a busy day, with something for each part of ``ami-promoter report``'s page."""

from dataclasses import dataclass

from tests.scenarios.scene import PROD, TEST, Scene, targets_file

SHARES = {TEST: {"mode": "share", "share_snapshots": True}}
FILE = targets_file(accounts=SHARES, queue_deadline="10m", service_linked_roles=[])
"""DEV and PROD copy, TEST shares."""


@dataclass(frozen=True, slots=True)
class BusyHub:
    """Ids of the AMIs, by their outcome."""

    withdrawn: str
    """Delivered to DEV and PROD, shared with TEST; then untagged, so that TEST's share is withdrawn."""
    failed: str
    """The next one of its family: delivered to DEV, shared with TEST, failed in PROD, whose role is gone."""
    running: str
    """Of another family, and being copied to DEV."""
    refused: str
    """Its tag names a group that does not exist."""


def play(scene: Scene) -> BusyHub:
    """Play the day: an hour and a half of virtual time."""
    scene.apply(FILE)
    scene.world.ec2.pace.copy = 400
    scene.promote("dev prod")
    scene.wait(600)
    scene.drop_role(PROD)
    failed = scene.seed("golden-2026-02", (8, 40))
    scene.promote("dev prod", failed)
    scene.untag()
    scene.run_until_state("withdrawn", TEST)
    refused = scene.seed("windows-2022-base")
    scene.tag("dve prod", refused)
    scene.run_until_refused(refused)
    running = scene.seed("edge-proxy-20260105", (16,))
    scene.world.ec2.pace.copy = 1800
    scene.tag("default", running)
    scene.run_until_state("copying", image=running)
    scene.wait(700)
    return BusyHub(scene.image, failed, running, refused)
