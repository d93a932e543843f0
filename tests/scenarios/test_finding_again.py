"""What happened and what is where, among many promotions: by time, name, group, and so many."""

import pytest

from ami_promoter.promotions import choosing
from tests.scenarios.scene import DEV, HOUR, TEST


@pytest.fixture
def three(scene):
    """Three AMIs, promoted an hour apart: to dev, to prod, and to dev again."""
    amis = [scene.image, scene.seed("base-2026-01"), scene.seed("golden-2026-02")]
    for ami, value in zip(amis, ("dev", "prod", DEV), strict=True):
        scene.promote(value, ami)
        scene.wait(HOUR)
    scene.amis = amis
    return scene


WAYS = [
    (("--image", "golden-*"), (2, 0)),
    (("--group", "prod"), (1,)),
    (("--since", "90m"), (2,)),
    (("--limit", "2"), (2, 1)),
    (("--limit", "1", "--image", "golden-*"), (2,)),
]


def chosen(three, words, left):
    """Where: a row for each AMI, the newest first, and for scripts a line for each copy. History: their steps."""
    amis = [three.amis[at] for at in left]
    _, out, _ = three.cli("where", *words)
    _, ids, _ = three.cli("where", *words, "--ids")

    assert [line.split()[0] for line in out.splitlines() if line.startswith("ami-")] == amis, words
    assert [one["source"] for one in three.ask("where", *words)["listed"]] == amis, words
    assert len(ids.splitlines()) == sum(2 if at == 0 else 1 for at in left), words
    assert ("1 older promotion not shown" in out) is ("--limit" in words), words

    status, out, _ = three.cli("history", *words)

    assert {one["ami"] for one in three.ask("history", *words)["entries"]} == set(amis), words
    assert status == 0, words
    assert f"History of {len(left)} AMI{'s' if len(left) > 1 else ''} in " in out, words


def test_what_is_chosen_is_listed(three, monkeypatch):
    """By where and by history. A script gets all and a person a page, because a script cannot see what is left out.

    One scene for all, because these only read.
    """
    for words, left in WAYS:
        chosen(three, words, left)
    cut_in_time(three)

    monkeypatch.setattr(choosing, "LISTED_AT_ONCE", 1)
    assert "1 older promotion not shown" in three.cli("where", "--image", "golden-*")[1]
    assert len(three.cli("where", "--image", "golden-*", "--ids")[1].splitlines()) == 3
    assert three.cli("where", "--image", "nothing-*")[1].startswith("No promotion matches")
    assert three.cli("history", "--image", "nothing-*")[0] == 0


def cut_in_time(three):
    """The history of an account or an AMI has only steps of the last time, and what is still open."""
    for words in (("--account", DEV), (three.amis[0],)):
        whole, late = three.ask("history", *words), three.ask("history", *words, "--since", "90m")
        assert {one["ami"] for one in whole["entries"]} > {one["ami"] for one in late["entries"]}
        assert len(late["shares"]) < len(whole["shares"])
    of_test = three.ask("history", "--account", TEST, "--image", "golden-*")
    assert {one["account"] for one in of_test["entries"]} == {TEST}
