"""In the simulator each check of the common list finds what it is for: a test spoils what the service has done."""

from tests.invariants import AtRest, BetweenCalls, Closing, Opened, Opening, Telling, broken
from tests.scenarios.failures import copy_of_ours
from tests.scenarios.monitoring import share
from tests.scenarios.scene import DEV, HOUR, PROD, STRANGER


def snapshot(scene) -> str:
    """A source snapshot as the ledger names it."""
    return f"resource#snapshot#{scene.snapshots[0]}"


def found(scene, moment, text) -> list[str]:
    """What is broken, of that which has this text."""
    return [what for what in broken(scene.view, moment) if text in what]


def test_a_share_that_closes_under_its_copy_and_one_that_opens_to_a_stranger_are_found(scene):
    """And nothing while all is as it should be."""
    scene.begin_copies("", seconds=600)
    opening, closing = Opening(snapshot(scene), DEV), Closing(snapshot(scene), DEV)
    assert list(broken(scene.view, opening)) == list(broken(scene.view, Opened())) == []
    (early,) = found(scene, closing, "invariant 1")
    assert early.startswith(f"invariant 1: {snapshot(scene)} closes to {DEV} under the unfinished snap-")

    scene.listed = scene.listed - {DEV}
    stranger = f"invariant 8: {snapshot(scene)} opens to the stranger {DEV}"
    assert list(broken(scene.view, opening)) == [stranger]
    assert len(found(scene, Opened(), "invariant 8: open to a stranger: ")) == 3  # two snapshots and a grant


def test_what_is_left_open_and_what_is_left_over_is_found(scene):
    """A permission for a listed account, one for a stranger, and a copy that no AMI uses."""
    scene.promote("")
    assert list(broken(scene.view, AtRest())) == list(broken(scene.view, BetweenCalls())) == []
    share(scene, DEV)
    (left,) = found(scene, AtRest(), "invariant 1: left open: ")
    assert DEV in left
    assert found(scene, BetweenCalls(), "invariant 8") == []

    share(scene, STRANGER)
    (to,) = found(scene, BetweenCalls(), "invariant 8: open to a stranger: ")
    assert STRANGER in to
    copy = copy_of_ours(scene, "0" * 20)
    scene.wait(HOUR)
    (orphan,) = found(scene, AtRest(), "invariant 4: orphan: ")
    assert copy in orphan


def test_a_permission_of_others_that_goes_is_found(scene):
    """At the call, and afterwards."""
    scene.share_before(DEV, scene.snapshots[0])
    assert found(scene, BetweenCalls(), "invariant 2") == []
    assert found(scene, Closing(snapshot(scene), DEV), "invariant 2") == [
        f"invariant 2: {snapshot(scene)} was open before us"
    ]
    share(scene, DEV, operation="remove")
    (gone,) = found(scene, BetweenCalls(), "invariant 2: preexisting, and gone: ")
    assert scene.snapshots[0] in gone


def test_a_notice_that_is_not_so_and_an_ending_without_one_are_found(scene):
    """An AMI that never was; an account that may still launch; nobody was notified."""
    scene.promote("")
    said = {"event": "delivery.delivered", "id": "n", "image": scene.image_in(DEV)["ImageId"]}
    assert list(broken(scene.view, Telling(said))) == []
    never = list(broken(scene.view, Telling({**said, "image": "ami-none"})))
    assert never == ["invariant 10: n tells of ami-none, which never was"]

    withdrawn = Telling({"event": "delivery.withdrawn", "id": "n", "source_image": scene.image, "account": DEV})
    assert list(broken(scene.view, withdrawn)) == []
    scene.client("ec2").modify_image_attribute(ImageId=scene.image, LaunchPermission={"Add": [{"UserId": DEV}]})
    still = f"invariant 10: n says that {scene.image} was withdrawn, and {DEV} may launch it"
    assert list(broken(scene.view, withdrawn)) == [still]

    scene.world.sns.published.clear()
    (unsaid,) = found(scene, AtRest(), "invariant 10")
    assert unsaid.endswith(" delivered")


def test_an_opening_without_an_approval_is_found(waiting):
    """Or with one that has expired; who needs none may have it opened."""
    assert waiting.view.approved(waiting.image, DEV)
    assert not waiting.view.approved(waiting.image, PROD)
    assert waiting.cli("approve", waiting.image, "--for", "4h", "--yes")[0] == 0
    waiting.run_until_state("opening", PROD)
    waiting.wait(20)
    opening = Opening(snapshot(waiting), PROD)
    assert list(broken(waiting.view, opening)) == []

    waiting.wait(5 * HOUR)
    assert not waiting.view.approved(waiting.image, PROD)
