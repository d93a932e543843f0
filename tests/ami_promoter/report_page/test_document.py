"""The whole page: no text of others becomes markup, and a thousand targets fit."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from ami_promoter.report_page.document import POLICY, render
from ami_promoter.report_page.html import LONGEST
from chalicelib.delivery.model import Delivery, DeliveryState, Naming, NewImage
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.engine.faults import Fault
from chalicelib.promotion.model import Promotion
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.targets.applied_file import Target
from chalicelib.targets.recalls import Pin
from tests.ami_promoter.report_page.many import HUB, NOW, REGION, hub, record, shown
from tests.ami_promoter.report_page.pages import WrittenPage

PLACES = ("name", "value", "what", "cure", "parked", "snapshot")
HOSTILE = {
    "a script": "<script>alert(1)</script>",
    "an attribute's end": '"><img src=x onerror=alert(1)>',
    "another quote": "' onmouseover='alert(1)",
    "ends of elements": "</title></style></code></td></table><script>alert(1)</script>",
    "a comment": "<!--",
    "a section": "]]><![CDATA[",
    "an entity": "&lt;script&gt;&#60;b&#62;",
    "a link": "javascript:alert(1)",
    "a base": "<base href=//evil.example><meta http-equiv=refresh content=0>",
}
INVISIBLE = {
    "a terminal's escape": ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
    "another direction": ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
    "a new line": ("one\r\ntwo\x00\x85", r"one\r\ntwo\x00\x85"),
    "half a character": ("\ud800", r"\ud800"),
}


def page(**bad):
    """Write a page with these texts in the fields that others write."""
    return render(shown(hub(100, 2, bad=bad)))


@pytest.fixture(scope="module")
def benign():
    """A page with harmless texts."""
    return WrittenPage(page(**dict.fromkeys(PLACES, "plain")))


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_others_wrote_stays_text(kind, benign):
    """Each text is readable as written, in each place, and makes no element and no attribute."""
    bad = HOSTILE[kind]

    found = WrittenPage(page(**dict.fromkeys(PLACES, bad)))

    assert (found.tags, found.attributes) == (benign.tags, benign.attributes)
    everything = " ".join(found.sections.values())
    assert everything.count(bad) == " ".join(benign.sections.values()).count("plain") > 100


@pytest.mark.parametrize("kind", INVISIBLE)
def test_what_cannot_be_seen_is_shown_as_escapes(kind):
    """A text can neither change the writing direction nor forge a line."""
    bad, seen = INVISIBLE[kind]

    text = page(**dict.fromkeys(PLACES, bad))

    assert seen in text
    assert [one for one in text.replace("\n", "") if not one.isprintable()] == []
    assert text.encode()


def test_what_is_too_long_is_cut():
    """The page says how much was cut, and stays small: no place has more."""
    text = page(**dict.fromkeys(PLACES, "x" * 10_000))

    assert f"… ({10_000 - LONGEST:,} more characters)" in text
    assert "x" * (LONGEST + 1) not in text


def test_a_parked_record_has_the_command_that_lets_it_continue():
    """As `status` has it: who reads the page need not look for it elsewhere."""
    said = WrittenPage(page(parked="It is damaged.")).sections["attention"]

    assert re.search(r"(delivery#\w+): It is damaged\..*ami-promoter admin reconcile --unpark '\1'", said)


@pytest.mark.thorough
def test_a_thousand_targets_and_three_promotions():
    """Each has its rows; long tables are folded, and the page has less than 6 MB."""
    text = render(shown(hub(1000, 3)))

    found = WrittenPage(text)
    assert len(text) < 6_000_000
    assert len(found.tables["golden…: current image by target"]) == 990
    assert [len(rows) for caption, rows in found.tables.items() if caption.startswith("Deliveries")] == [1000] * 3
    assert len(found.tables["Open now"]) == 2000
    key = next(rows for caption, rows in found.tables.items() if caption.startswith("Key, by grant"))
    assert len(key) == 3000
    assert "<details open" not in text
    assert "Every record could be read." in text


def test_the_report_page_requests_nothing():
    """No script, no other site's address, and a policy that forbids both."""
    text = page(name="<script src=//evil.example>")

    assert f'content="{POLICY}"' in text
    assert not {"script", "img", "iframe", "object", "link", "base"} & WrittenPage(text).tags
    assert re.findall(r"""(?:src|action|background)=|url\(|@import""", text.replace("&lt;script src=", "")) == []
    assert {link for link in re.findall('href="([^"]*)"', text) if not link.startswith("#")} == set()


def test_headings_go_down_one_step_at_a_time():
    """Every section has a heading."""
    levels = [int(level) for level in re.findall("<h([1-6])", page())]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_every_table_has_a_caption_and_says_what_its_headings_head():
    """For people who use a screen reader."""
    text = page()

    assert text.count("<table") == text.count("<caption")
    assert re.findall("<th(?! scope=)(?!ead)[^>]*>", text) == []


def test_equal_failures_are_shown_once():
    """Ten targets without a role are one trouble, with its cure once; each of the ten is named."""
    attention = WrittenPage(render(shown(hub(1000, 2)))).sections["attention"]

    assert attention.count("AssumeRole was refused") == attention.count("Deploy deploy/target.yaml there.") == 1
    assert "10 targets" in attention
    assert all(f"{200000000000 + number} us-east-1" in attention for number in range(99, 1000, 100))


def pointers(what, pin=None):
    """Two targets to which one AMI of the family `base` was delivered: a parameter names it, and one has a fault."""
    ami = "ami-0aaaaaaaaaaaaaaaa"
    yield record(f"promotion#{ami}", "record", Promotion(ami, HUB, REGION, image_name="golden"), state="over")
    for account, fault in (("1" * 12, None), ("2" * 12, Fault("pointer-not-ours", "there", what, "Delete it."))):
        ident, state, name = f"d{account[0]}", DeliveryState.DELIVERED, "/golden/base/current"
        naming = Naming("base", name, offered_at=NOW, done=True)
        known = {
            "state": state,
            "entered": {state: NOW - 60},
            "image": NewImage("ami-0bbbbbbbbbbbbbbbb"),
            "naming": naming,
        }
        made = Delivery(ident, HUB, ami, Target(account, REGION), 1, NOW - 600, "golden", (), **known)
        yield record(f"delivery#{ident}", "record", made, state=state.value)
        entry = TrackedDelivery(ident, account, REGION, 1, state.value, "ami-0bbbbbbbbbbbbbbbb")
        yield record(f"promotion#{ami}", f"delivery#{ident}", entry)
        named = (Release(ami, "2026-01-01T00:00:00.000Z", "ami-0bbbbbbbbbbbbbbbb"),)
        pointer = Pointer(account, REGION, name, "base", HUB, named, "" if fault else named[0].image, settled=True)
        retired = () if fault else (named[0].image,)
        shows = replace(pointer, fault=fault, retired=retired, pin=pin)
        yield record(pointer.key.pk, "record", shows, state="resting")


def test_a_parameter_that_a_rollback_holds_is_shown_so():
    """With the reason: the image is no accident."""
    pin = Pin("ami-0aaaaaaaaaaaaaaaa", "2026-01-01T00:00:00.000Z", NOW, "jane", "The agent is slow.")

    rows = WrittenPage(render(shown(pointers("", pin)))).tables["base: current image by target"]

    assert rows[0][-1] == "/golden/base/current names it, and a rollback holds it there: The agent is slow."


def test_a_command_in_a_sentence_is_code():
    """Backticks are for a terminal."""
    found = render(shown(pointers("Look: `aws ssm get-parameter --name x`; then wait.")))

    assert "`" not in WrittenPage(found).sections["attention"]
    assert "<code" in found.split("Look: ")[1][:6]


def test_a_familys_parameter_is_shown_with_what_it_names():
    """Beside the current image of each target; a fault stands among what needs attention, too, as plain text."""
    what = "It names <b>'ami-0fff'</b>."

    found = WrittenPage(render(shown(pointers(what))))

    rows = found.tables["base: current image by target"]
    assert [row[-1] for row in rows] == ["/golden/base/current names it", f"/golden/base/current{what}"]
    assert f"222222222222 us-east-1 /golden/base/current, family base{what}Delete it." in found.sections["attention"]
    assert "1 image removablebase, 111111111111 us-east-1: ami-0bbbbbbbbbbbbbbbb" in found.sections["images"]
