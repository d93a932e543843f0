"""The notice ``targets.applied``: who decides who receives AMIs tells everybody, whether or not they want to."""

from typing import Any

from tests.scenarios.approving import deployed, file
from tests.scenarios.platform import alarmed
from tests.scenarios.scene import HUB, PROD, REGION, Scene

LOOSE = file(approval="none")


def notified(scene: Scene) -> list[dict[str, Any]]:
    """The notices of the applied file."""
    return scene.notices("targets.applied")


def test_a_stolen_operator_who_takes_an_approval_away_is_a_page(waiting, become):
    """With deploy/cli-operator.json alone; the notice says what, and who claims to have done it."""
    assert notified(waiting) == []
    assert alarmed(waiting) == set()
    become(deployed("cli-operator"))
    waiting.apply(LOOSE)
    waiting.wait(60)

    (notice,) = notified(waiting)
    approval = {"where": f"{PROD}/{REGION}", "setting": "approval", "before": "required", "after": "none"}
    assert approval in notice["loosened"]
    assert (notice["outcome"], notice["claimed"]) == ("loosened", True)
    assert notice["applied_by"] == f"arn:aws:sts::{HUB}:assumed-role/Person/person"
    assert alarmed(waiting) == {"TargetsLoosenedAlarm"}
    waiting.apply(file())
    assert [one["outcome"] for one in notified(waiting.after(60))] == ["loosened", "applied"]
