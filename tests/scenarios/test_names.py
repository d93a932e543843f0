"""Accounts that have a name in the targets file are called by it, wherever a person reads of them."""

import pytest

from ami_promoter.terminal import remembered
from tests.ami_promoter.report_page.pages import WrittenPage
from tests.scenarios.scene import DEV, PROD, TABLE, TEST, Scene, targets_file

NAMED = {DEV: {"name": "dev"}, PROD: {"name": "The accounts of prod"}}


@pytest.fixture
def delivered(scene: Scene) -> Scene:
    """The AMI is delivered to the group dev, whose first account has a name."""
    scene.apply(targets_file(accounts=NAMED))
    scene.promote("dev")
    return scene


def test_a_verb_says_the_name_beside_the_id(delivered, tmp_path, monkeypatch):
    """The other account has no name. At 80 columns no line is longer. One scene for all: only the last one changes."""
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "next.yaml"
    file.write_text(targets_file(accounts=NAMED, queue_deadline="40m"), encoding="utf-8")
    for words in (
        ("status", delivered.image),
        ("wait", delivered.image),
        ("where", delivered.image),
        ("plan", delivered.image, "dev"),
        ("history", delivered.image),
        ("history", "--account", DEV),
        ("verify", delivered.image),
        ("doctor",),
        ("targets", "diff", str(file)),
        ("withdraw", "--yes", delivered.image, "--account", DEV),
    ):
        _, out, err = delivered.cli(*words)

        said = " ".join(f"{out} {err}".split())
        assert f"dev ({DEV})" in said, words
        assert f" ({TEST})" not in said, words
        lines = [line for line in out.splitlines() if not line.startswith(("arn:", "aws ", "`"))]
        assert [line for line in lines if len(line) > 80] == [], words


def test_what_a_script_reads_has_ids(delivered, tmp_path):
    """The same as before. The report says the name in its tables.

    Completion offers groups, and accounts with their names; after `targets apply`, and after any command that says a
    name. Where the item is damaged that says which file is in force, a verb says the ids.
    """
    known = remembered.words(None)
    assert known["groups"].keys() == {"default", "dev", "prod"}
    assert known["accounts"] == {DEV: "dev", TEST: "", PROD: "The accounts of prod"}
    remembered.keep(None, [], {})
    _, out, _ = delivered.cli("where", delivered.image, "--ids")

    assert out.splitlines()[0] == f"{DEV} us-east-1 {delivered.image_in(DEV)['ImageId']}"
    assert '"dev (' not in delivered.cli("status", delivered.image, "--json")[1]
    delivered.cli("status", delivered.image)
    assert remembered.words(None) == known

    delivered.cli("report", "-o", str(tmp_path / "page.html"))
    page = WrittenPage((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert f"dev ({DEV}) us-east-1" in [row[0] for row in page.tables["golden…: current image by target"]]

    delivered.client("dynamodb").update_item(
        TableName=f"{TABLE}-config",
        Key={"pk": {"S": "targets"}, "sk": {"S": "current"}},
        UpdateExpression="REMOVE applied_by",
    )
    for verb in ("where", "history"):
        status, out, err = delivered.cli(verb, delivered.image)
        assert (status, DEV in out, f"dev ({DEV})" in out) == (0, True, False), err
