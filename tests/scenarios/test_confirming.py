"""What changes much is shown and asked for; what an operator lets go on goes on at once."""

import sys

import pytest

from tests.scenarios.scene import DEV, HUB, PROD, TEST, Answering, targets_file

OK, FAULT = 0, 1


@pytest.fixture
def running(scene):
    """Two deliveries copy."""
    scene.begin_copies("dev", seconds=600)
    scene.run_until(lambda: set(scene.delivery_states()) == {"copying"})
    return scene


def test_it_is_shown_and_asked_for(running, monkeypatch, tmp_path):
    """At a terminal a person answers; elsewhere nothing is done without --yes, and the fault says what would be.

    What was shown for the question is not shown again; at the end of a drain stands what is left.
    """
    ami, file = running.image, tmp_path / "next.yaml"
    file.write_text(targets_file(queue_deadline="40m"), encoding="utf-8")
    cases = [
        (("admin", "drain"), "This pauses promotions, ends every delivery", "Deliveries under way: 2 copying."),
        (("targets", "apply", str(file)), f"This applies {file} to account {HUB}", f"~ target {DEV} us-east-1"),
        (("withdraw", ami, "--account", DEV), f"This withdraws {DEV} from {ami}", "the delivery is cancelled"),
        (("cancel", ami), f"This removes the tag promote of {ami}, and so ends its", "the delivery is cancelled"),
    ]
    for words, does, shown in cases:
        status, said = running.prints(*words)
        assert status == FAULT
        assert does in said
        assert shown in said
        assert "--yes" in said
        assert running.answer(*words)[1]["faults"][0]["code"] == "not-confirmed"
        with monkeypatch.context() as at_a_terminal:
            at_a_terminal.setattr(sys, "stdin", Answering("n\n"))
            assert running.cli(*words)[0] == FAULT
    running.wait(120)
    assert set(running.states().values()) == {"copying"}
    assert running.ask("status")["paused"] is None
    assert running.ask("targets", "show")["version"] == 1

    for words, _, shown in cases:
        monkeypatch.setattr(sys, "stdin", Answering("y\n"))
        status, said = running.prints(*words)
        assert status in (OK, 4), said
        assert said.count(shown) == (2 if "drain" in words else 1), said


def test_an_approval_without_a_digest_is_asked_for(waiting, monkeypatch):
    """With the digest of the notice, the approver has seen what it is; what was approved goes on at once.

    Not only when the delivery looks by itself, a quarter of an hour later.
    """
    waiting.wait(1200)
    assert waiting.cli("approve", waiting.image)[0] == FAULT
    assert waiting.delivery_state(PROD) == "awaiting-approval"
    digest = waiting.ask("approve", waiting.image, "--dry-run")["digest"]
    monkeypatch.setattr(sys, "stdin", Answering("n\n"))
    assert waiting.cli("approve", waiting.image)[0] == FAULT

    assert waiting.cli("approve", waiting.image, "--digest", digest[:12])[0] == OK
    waiting.wait(10)
    assert waiting.delivery_state(PROD) not in ("awaiting-approval", "")


def test_what_a_pause_held_back_goes_on_at_once(scene):
    """A promotion that was to begin deliveries asks by itself only every quarter of an hour.

    Nothing is tried again that failed: that stays for `retry`.
    """
    scene.apply(targets_file(queue_deadline="10m"))
    scene.drop_role(TEST)
    assert scene.promoted("dev") == {DEV: "delivered", TEST: "failed"}
    since, other = scene.delivery(TEST)["since"], scene.seed("other-2026-01")
    scene.cli("admin", "pause")
    scene.tag("prod", other)
    scene.wait(1200)
    assert scene.states(other) == {}

    status, out, _ = scene.cli("admin", "resume")

    assert (status, "What waited goes on now: 1 record." in out) == (OK, True)
    scene.wait(10)
    assert set(scene.states(other)) == {PROD}
    assert scene.outcome(other) == {PROD: "delivered"}
    assert (scene.states()[TEST], scene.delivery(TEST)["since"]) == ("failed", since)
