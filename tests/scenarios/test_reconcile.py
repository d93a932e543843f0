"""``ami-promoter reconcile``: after a table was put back, or records were lost, AWS and the records agree again."""

from __future__ import annotations

import pytest

from tests.scenarios.platform import backup, codes, reconcile, restore
from tests.scenarios.scene import DEV, PROD, TEST

HISTORY = 6 * 60
"""Seconds until CloudTrail shows a call."""


def test_all_is_in_order(scene):
    """Delivered, and nothing open: nothing to say, exit status 0; and it has changed nothing."""
    scene.promote(f"dev {PROD}")

    status, report = reconcile(scene)

    assert (status, codes(report)) == (0, set())
    assert report["targets"] == {"seen": 3, "asked": 3}
    assert scene.states() == dict.fromkeys((DEV, TEST, PROD), "delivered")
    scene.assert_laws()


MOMENTS = ["nothing known", "checking", "waiting", "opening", "copying"]


@pytest.mark.parametrize("moment", ["", "waiting", "opening", "copying"])
def test_the_table_is_put_back_to_before_a_delivery_ended(scene, moment):
    """Since then it was delivered. Reconciled, each account owns its one AMI, nothing is copied twice, nothing open."""
    scene.wait(400)
    if moment:
        scene.tag("")
        scene.run_until_state(moment)
        then = backup(scene)
        scene.run_until_over()
    else:
        then = backup(scene)
        scene.promote("")
    image = scene.image_in(DEV)["ImageId"]
    scene.wait(3600)
    restore(scene, then)

    reconcile(scene, "--apply")
    scene.run_until_state("delivered")
    scene.settle()

    assert scene.image_in(DEV)["ImageId"] == image
    assert len(scene.snapshots_in(DEV)) == 2
    scene.assert_laws()
