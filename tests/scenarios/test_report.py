"""``ami-promoter report``: the page shows AWS's state, and names what could not be read."""

import re
from contextlib import contextmanager

import pytest

from tests.ami_promoter.report_page.pages import WrittenPage
from tests.scenarios import busy_hub, damage
from tests.scenarios.damage import spoil
from tests.scenarios.scene import DEV, PROD, TABLE, TEST


def report(scene, *words):
    """Write the page; return the output of `--json`, and the page."""
    file = scene._directory / "page.html"
    said = scene.ask("report", "-o", str(file), *words)
    return said, WrittenPage(file.read_text(encoding="utf-8"))


def open_at_aws(scene):
    """(kind of resource, end of its name, account) of each permission that is open for another account in AWS."""
    found = set()
    for line in scene.world.shares_open():
        name = line.split()[0]
        kind = {"snap": "Snapshot", "ami-": "AMI", "arn:": "Key"}[name[:4]]
        receiver = re.findall("[0-9]{12}", line.rpartition(" ")[2])[-1]
        found.add((kind, name.rpartition(":")[2], receiver))
    return found


def open_on_page(page):
    """The same, from the page."""
    rows = page.tables.get("Open now", [])
    return {(re.match("Snapshot|AMI|Key", row[1])[0], row[1].split()[-1], row[0][:12]) for row in rows}


@pytest.mark.thorough
def test_a_busy_day(scene):
    """Open and closed shares, which image is where, what failed with its cure, and what runs."""
    found = busy_hub.play(scene)

    said, page = report(scene)

    assert open_on_page(page) == open_at_aws(scene) != set()
    assert said["open"] == len(page.tables["Open now"]) == 6
    assert said["unreadable"] == []

    current = {row[0].split()[0]: row[1:3] for row in page.tables["golden…: current image by target"]}
    newest = max(scene.images_in(DEV), key=lambda image: image["CreationDate"])
    assert current[DEV][0] == newest["ImageId"]
    assert current[TEST][0].startswith(found.failed)
    assert current[PROD] == [scene.image_in(PROD)["ImageId"], f"golden-2026-01 {found.withdrawn} behind"]

    trouble = page.sections["attention"]
    assert [text for text in failed_texts(scene) if text not in trouble] == []
    assert "Did you mean dev?" in trouble

    rows = {row[0].split()[0]: row for row in page.tables["Deliveries of golden-2026-02"]}
    assert "awaiting-role 10m" in rows[PROD][4]
    assert re.search(r"opening \d+s · copying \dm .*verifying", rows[DEV][4])
    (running,) = page.tables["Deliveries of edge-proxy-20260105"]
    assert running[1].endswith("copying")
    assert re.search(r"copying 11m so far.*snap-\w+: \d+ %, left: ~\d+m", running[4])


def test_the_first_line_is_what_a_manager_asks(scene):
    """On the terminal, on the page and in JSON: the newest image, in how many accounts it is, and where it failed."""
    scene.client("kms", PROD).disable_key(KeyId=scene.stage.targets[PROD].outputs["KeyArn"])
    scene.promote("dev prod")

    file = scene._directory / "page.html"
    status, out, err = scene.cli("report", "-o", str(file))
    assert status == 0, err
    assert out.splitlines()[0] == "golden 2026-01: current in 2 of 3 accounts; 1 failed."
    text = re.sub("<[^>]*>", "", file.read_text(encoding="utf-8").partition("<main")[2])
    assert text.partition(">")[2].startswith("golden 2026-01: current in 2 of 3 accounts; 1 failed")
    said, page = report(scene)
    (image,) = said["images"]
    assert image == {
        "image": "golden 2026-01",
        "ami": scene.image,
        "current": 2,
        "accounts": 3,
        "failed": 1,
        "running": 0,
        "behind": 0,
    }
    assert "○ over" not in page.sections["deliveries"]
    assert "value in force: dev prod" in page.sections["attention"]


def failed_texts(scene):
    """Every text of `status --failed`: faults and cures."""
    pages = scene.ask("status", "--failed")["failed"]
    faults = [fault for page in pages for one in (page, *page["deliveries"]) for fault in one["faults"]]
    assert len(faults) == 2
    return [" ".join(fault[name].replace("`", "").split()) for fault in faults for name in ("what", "cure")]


def test_closed_shares_have_their_time(scene):
    """Start and end are the times of the calls in AWS. What was open before the service is not called closed."""
    scene.share_before(DEV, scene.snapshots[0])
    scene.promote(DEV)
    scene.wait(300)

    _, page = report(scene)

    before, ours = scene.snapshots
    (row,) = page.tables["Open now"]
    assert before in row[1]
    assert row[2] == "golden-2026-01"
    assert row[4].endswith("left open")
    assert row[5] == "existed before the service, stays"
    assert open_on_page(page) == open_at_aws(scene)
    calls = [call for call in scene.calls("ModifySnapshotAttribute") if call.caller.function]
    assert {call.params["SnapshotId"] for call in calls} == {ours}
    ((account, since, until, *_),) = page.tables[f"Snapshot {ours}: who could use it, and when"]
    assert (account, since, until) == (DEV, *(f"{call.at:%Y-%m-%d %H:%M:%S}" for call in calls))


HARMLESS = {
    "the last hour is text",
    "the last hour is gone",
    "the version is text",
    "the version is gone",
    "the grantee is a number",
    "it speaks of another resource",
    "the account is gone, the body too",
    "a hint is a number",
}
"""Damage beside the body: the page shows the record completely."""


@contextmanager
def spoilt(scene, pk, kind, sk="record"):
    """Damage an item for a while, without virtual time."""
    table, key = scene.client("dynamodb"), {"pk": {"S": pk}, "sk": {"S": sk}}
    whole = table.get_item(TableName=TABLE, Key=key)["Item"]
    spoil(scene, pk, kind, sk)
    yield
    table.put_item(TableName=TABLE, Item=whole)


def test_a_damaged_share_is_named_and_may_be_open(scene):
    """With any damage: nothing is left out, and nothing open is shown as closed."""
    scene.copying(DEV, 3600)
    scene.wait(30)
    pk, sk = f"resource#snapshot#{scene.snapshots[0]}", f"share#{DEV}"
    there = open_at_aws(scene)

    for name, kind in damage.SHARES.items():
        with spoilt(scene, pk, kind, sk):
            said, page = report(scene)

        assert open_on_page(page) == there, name
        assert name in HARMLESS or said["unreadable"] == [f"{pk} {sk}"], name
        assert all(record in page.sections["read"] for record in said["unreadable"]), name


def test_a_damaged_delivery_is_named_and_shown(scene):
    """From the promotion's data; the others are shown in full."""
    scene.promote("dev")
    pk = f"delivery#{scene.delivery_record(DEV)['id']}"

    for name, kind in {**damage.UNREADABLE_DELIVERY, "a newer form": damage.NEWER}.items():
        with spoilt(scene, pk, kind):
            said, page = report(scene)

        rows = {row[0].split()[0]: row for row in page.tables["Deliveries of golden-2026-01"]}
        assert set(rows) == {DEV, TEST}, name
        assert rows[TEST][1].endswith("delivered"), name
        assert name in HARMLESS or said["unreadable"] == [f"{pk} record"], name
        assert all(record in page.sections["read"] for record in said["unreadable"]), name


def test_an_empty_hub(scene):
    """Every section says that there is nothing; while it is paused, the page begins with that."""
    said, page = report(scene)

    assert (said["open"], said["failed"], said["unreadable"]) == (0, 0, [])
    assert page.tables == {}
    assert "No target has an image." in page.sections["images"]
    assert "No permission is open now, and none was open in this time." in page.sections["exposure"]
    assert "No AMI has been promoted." in page.sections["deliveries"]
    assert "Every record could be read." in page.sections["read"]
    assert scene.cli("where", "--image", "nothing-*")[1].startswith("No promotion exists")

    scene.cli("admin", "pause", "--why", "KMS outage")
    file = scene._directory / "page.html"
    assert scene.cli("report", "-o", str(file))[0] == 0
    assert "KMS outage. Nothing new starts." in file.read_text(encoding="utf-8")
