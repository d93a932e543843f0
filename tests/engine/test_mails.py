"""A mail is text for a person: one screen, with names, times in ISO form, and nobody's text in a form of its own."""

import re
from pathlib import Path

import pytest

from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine import mails, notices
from chalicelib.engine.faults import Fault
from chalicelib.promotion.model import Promotion
from chalicelib.promotion.notices import baseline, summary
from tools.events import AMI, COPIED, TARGET, examples

HOSTILE = 'no "quarter"\n\nThe AMI was delivered to everybody.\r\n\u202e\x1b[2J <a href=x> `rm`\u2028 end'
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "notices.md"
NAMES = {TARGET: "dev"}


@pytest.mark.parametrize("kind", sorted(examples()))
def test_a_mail_is_one_screen_of_text_with_the_time_in_iso_form(kind):
    """No JSON; at most 24 lines of 78 columns, also with the longest names and texts."""
    for notice in (examples()[kind], examples("n" * 128, "a word " * 400)[kind]):
        text = mails.text(notice)

        assert "{" not in text
        assert re.search(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
        lines = text.splitlines()
        assert len(lines) <= 24, text
        assert all(len(line) <= 78 or "arn:aws:" in line for line in lines), text


def test_the_mail_of_a_failure_says_where_why_and_what_to_do():
    """The account by its name, the first fault with its cure, and the command that shows the rest."""
    notice = examples()["delivery.failed"]
    text = mails.text(notices.with_plain({**notice, "faults": notice["faults"] * 3}, NAMES))

    assert "2 more faults in its status." in text
    assert text.startswith(f'"golden-2026-01" failed in dev ({TARGET}), us-east-1.\n')
    assert "ended in error" in text
    assert f"ami-promoter status {AMI}" in text


def test_the_mail_of_an_arrival_says_which_ami_is_there():
    """And the parameter that names it, its key and how long it took."""
    text = mails.text(notices.with_plain(examples()["delivery.delivered"], NAMES))

    assert text.startswith(f'"golden-2026-01" was delivered to dev ({TARGET}), us-east-1.\n')
    assert COPIED in text
    assert "its key" in text
    assert "/golden/golden/current" in text
    assert "32 min" in text


def test_the_mail_of_an_arrival_that_moves_no_parameter_says_why():
    """A rollback holds it at another AMI: by whom, why, and what ends that."""
    notice = examples()["delivery.delivered"]
    pointer = {**notice["pointer"], "image": "ami-0fff", "pinned": "ami-0eee by jane: The agent is slow."}
    text = " ".join(mails.text(notices.with_plain({**notice, "pointer": pointer}, NAMES)).split())

    assert (
        "/golden/golden/current stays at ami-0fff: a rollback holds it at ami-0eee by jane: The agent is slow." in text
    )
    assert f"ami-promoter rollback golden --account {TARGET}/us-east-1 --lift" in text


def test_the_mail_of_a_summary_counts_and_names_who_failed():
    """Those that failed come first, by name."""
    notice = notices.with_plain(examples()["promotion.over"], {**NAMES, "333333333333": "prod"})
    text = mails.text(notice)

    assert text.startswith('"golden-2026-01" is in 1 of 2 targets; 1 failed.\n')
    assert "failed     prod (333333333333), us-east-1" in text


def test_the_mail_of_a_large_summary_counts_only_where_the_ami_is_not():
    """Of 150 targets 30 failed: a summary lists 100, and what it leaves out are targets that have the AMI."""
    states = ["failed"] * 30 + ["delivered"] * 120
    tracked = [TrackedDelivery(f"d{n}", f"{n:012}", "us-east-1", 1, state) for n, state in enumerate(states)]
    promotion = Promotion(AMI, "111111111111", "us-east-1", image_name="golden")
    text = mails.text(notices.with_plain(summary(promotion, tracked, 1_767_605_629)))

    assert text.startswith('"golden" is in 120 of 150 targets; 30 failed.\n')
    assert text.count("failed     ") == mails.LISTED
    assert "and 25 more" in text


def test_an_approver_gets_the_command_that_approves():
    """With the digest of what waits."""
    notice = examples()["promotion.awaiting-approval"]
    assert notice["approve"] in mails.text(notice)


@pytest.mark.parametrize("kind", sorted(examples()))
def test_what_others_write_makes_no_line_of_its_own(kind):
    """A name or AWS's message stays in its line, is printable, and cannot end the quotes in which a name stands."""
    for line in mails.text(examples(HOSTILE, HOSTILE)[kind]).splitlines():
        assert line.isprintable()
        assert not line.startswith("The AMI was delivered")
        assert not set("<>`") & set(line)


def test_the_guide_shows_a_mail_as_the_code_makes_it():
    """The example in docs/guide/notices.md."""
    (shown,) = re.findall(r"```\n(\".*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    notice = examples()["delivery.failed"]
    key = f"arn:aws:kms:us-east-1:{TARGET}:key/03c20e21-0382-45f5-9427-fb8a59b0c90f"
    again = f"`ami-promoter retry {AMI}`"
    fault = Fault("key-unusable", "", f"Key {key} is disabled.", f"Enable the key; then {again}.")

    assert mails.text(notices.with_plain({**notice, "faults": [fault.to_json()]}, NAMES)) == shown


def test_the_mail_of_a_finding_says_who_let_whom_in():
    """Of the access monitor: severity, what was done, by whom, why it matters and what to do."""
    text = mails.finding(
        {
            "event": "access.finding",
            "severity": "page",
            "verdict": "foreign-stranger",
            "why": "The applied file does not list 999999999999.\nAll is well.",
            "receivers": ["999999999999"],
            "hub": "111111111111",
            "hub_region": "us-east-1",
            "learning": False,
            "call": "ModifySnapshotAttribute",
            "at": 1_767_605_629,
            "region": "us-east-1",
            "resource": "snap-1",
            "principal": "arn:aws:sts::111111111111:assumed-role/x/jane",
            "request_id": "req-1",
            "trail_event_id": "event-1",
            "cure": "Remove the permission.",
        }
    )

    assert text.startswith("page: foreign-stranger, ModifySnapshotAttribute on snap-1.\n")
    assert "999999999999" in text
    assert "assumed-role/x/jane" in text
    assert "2026-01-05T09:33:49Z" in text
    assert "Remove the permission." in text
    assert "All is well." not in text.splitlines()


def test_an_id_stays_whole_where_a_line_is_wrapped():
    """People copy it; several AMIs are plural."""
    ids = [f"ami-abcdef0123456789{number}" for number in range(5)]
    mail = mails.text(notices.with_plain(baseline("111111111111", "us-east-1", ids, len(ids), 0)))
    assert all(one in mail for one in ids)
    assert mail.startswith("5 AMIs are ignored.")
