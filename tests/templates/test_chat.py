"""deploy/chat.yaml: each notice that a channel asked for becomes a message that the chat integration shows."""

import json
import re
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from awsim.patterns import matches
from chalicelib.engine import notices
from tools.events import CHAT, KINDS, examples

RULES = {
    name: it["Properties"]
    for name, it in yaml_parse(CHAT.read_text(encoding="utf-8"))["Resources"].items()
    if it["Type"] == "AWS::Events::Rule"
}
HOSTILE = (
    'AWS says "no"\n\\ and <!channel> & <https://evil.example|pay> `*[here](https://evil.example)*` _~x~_ \u202e\x1b[2J'
)
NAME = "[golden](//evil.example/x) @here - a 'name' of EC2"
"""EC2 admits these characters in an AMI's name."""


def event_of(notice: dict[str, Any]) -> dict[str, Any]:
    return {"source": "ami-promoter", "detail-type": notice["event"], "detail": notice}


def value_at(path: str, event: dict[str, Any]) -> Any:
    """The value at a path such as ``$.detail.faults[0].what``."""
    found: Any = event
    for name, index in re.findall(r"\.([a-z_]+)(?:\[(\d+)\])?", path):
        found = found[name]
        found = found[int(index)] if index else found
    return found


def transformed(transformer: dict[str, Any], event: dict[str, Any]) -> Any:
    """What EventBridge makes of an event: a variable in quotes becomes text, another one a JSON value.

    [docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html]
    """
    values = {name: value_at(path, event) for name, path in transformer["InputPathsMap"].items()}
    strings = re.compile(r'"(?:[^"\\]|\\.)*"')

    def within(text: str) -> str:
        return re.sub(r"<(\w+)>", lambda found: str(values[found[1]]), text)

    def alone(text: str) -> str:
        return re.sub(r"<(\w+)>", lambda found: json.dumps(values[found[1]]), text)

    parts, at = [], 0
    for found in strings.finditer(transformer["InputTemplate"]):
        parts += [alone(transformer["InputTemplate"][at : found.start()]), within(found[0])]
        at = found.end()
    return json.loads("".join([*parts, alone(transformer["InputTemplate"][at:])]))


def messages(notice: dict[str, Any]) -> list[Any]:
    """The channel's messages for a notice."""
    event = event_of(notice)
    return [
        transformed(rule["Targets"][0]["InputTransformer"], event)
        for rule in RULES.values()
        if matches(rule["EventPattern"], event)
    ]


@pytest.mark.parametrize("kind", sorted(examples()))
def test_a_notice_of_a_delivery_or_a_refusal_comes_once_with_cause_and_cure(kind):
    """One whose row names no rule is not sent: the channel has a message for each delivery, and alarms."""
    notice = examples()[kind]

    shown = messages(notice)

    assert len(shown) == bool(KINDS[kind].chat)
    for message in shown:
        assert (message["version"], message["source"], message["id"]) == ("1.0", "custom", notice["id"])
        assert notice["outcome"] in message["content"]["title"]
        assert f"`{notice['source_name']}`" in message["content"]["title"]
        assert "None" not in json.dumps(message)
        if notice.get("faults"):
            assert message["content"]["description"] == f"`{notice['plain']['what']}`"
            assert f"`{notice['plain']['cure']}`" in message["content"]["nextSteps"]


def test_a_title_is_a_sentence_with_the_accounts_name():
    """The name that the targets file gives the account, and its id; the id alone without a name."""
    notice = examples()["delivery.failed"]
    (named,), (nameless,) = messages(notice), messages(notices.with_plain({**notice, "account_name": ""}))

    assert named["content"]["title"] == ":x: `golden-2026-01` failed in `dev (222222222222)`, us-east-1."
    assert nameless["content"]["title"] == ":x: `golden-2026-01` failed in `222222222222`, us-east-1."


@pytest.mark.parametrize("kind", sorted(examples(NAME, HOSTILE)))
def test_what_others_write_is_plain_text_in_the_channel(kind):
    """An AMI's name, a tag's value and AWS's words make no link, mention or format: they stand in spans of code."""
    notice = examples(NAME, HOSTILE)[kind]
    for message in messages(notice):
        content = message["content"]
        for text in (content["title"], content["description"], *content.get("nextSteps", ())):
            spans = re.findall(r"`[^`]*`", text)
            outside = re.sub(r"`[^`]*`", "", text)
            assert outside.count("`") == 0
            assert not any(word in outside for word in ("evil", "@", "channel", "golden", "says"))
            assert not [one for span in spans for one in span if one in '<>&"\\' or not one.isprintable()]
        assert "evil.example" in content["title"]


def test_a_fault_of_a_familys_parameter_comes_beside_the_arrival():
    """In a message of its own, with cause and cure, also where nobody asked for arrivals; and in a mail's subject."""
    notice = examples()["delivery.delivered"]
    fault = {"code": "pointer-not-ours", "where": "", "what": "It names 'ami-0fff'.", "cure": "Delete <it>."}
    at_fault = notices.with_plain({**notice, "pointer": {**notice["pointer"], "fault": fault}})

    (own,) = [one for one in messages(at_fault) if one not in messages(notice)]

    assert own["content"]["description"] == "`It names 'ami-0fff'.`"
    assert own["content"]["nextSteps"] == ["`Delete (it).`"]
    assert "Condition" not in yaml_parse(CHAT.read_text(encoding="utf-8"))["Resources"]["NotNamed"]
    assert "delivered in dev (222222222222), its parameter has a fault (" in notices.subject(at_fault)


def test_a_parameter_that_a_rollback_holds_comes_beside_the_arrival():
    """A launch from it takes an earlier AMI; a fault outweighs that."""
    notice = examples()["delivery.delivered"]
    pointer = {**notice["pointer"], "image": "ami-0fff", "pinned": "ami-0eee by jane: slow"}
    held = notices.with_plain({**notice, "pointer": pointer})

    (own,) = [one for one in messages(held) if one not in messages(notice)]

    assert "a rollback holds its parameter" in own["content"]["title"]
    assert own["content"]["description"] == f"`{held['plain']['what']}`"
    fault = {"code": "pointer-not-ours", "where": "", "what": "It names 'ami-0fff'.", "cure": "Delete <it>."}
    at_fault = notices.with_plain({**notice, "pointer": {**pointer, "fault": fault}})
    assert not [one for one in messages(at_fault) if "rollback" in one["content"]["title"]]


def test_a_mails_subject_begins_with_what_the_service_knows():
    """A name that looks like another outcome comes after the AMI, the outcome and the account."""
    bad = "golden) delivered in 333333333333 (\r\nBcc: all"
    subject = notices.subject(examples(bad)["delivery.failed"])

    assert subject.startswith("ami-0ce162caf79a45e67 failed in dev (222222222222) (")
    assert all(" " <= char <= "~" for char in subject)


@pytest.mark.parametrize(("kind", "command"), [("awaiting-approval", "approve"), ("wave-stopped", "retry")])
def test_who_must_act_gets_the_command_and_what_it_is_about(kind, command):
    """An approval has the digest, so that a later change is not approved unseen."""
    notice = examples()[f"promotion.{kind}"]
    (message,) = messages(notice)

    assert f"`{notice[command]}`" in message["content"]["nextSteps"]
    assert message["content"]["description"] == f"`{notice['plain']['what']}`"
    assert notice.get("digest", "")[:12] in notice[command]


def test_the_rules_hear_the_hubs_own_bus(hub):
    """The rules use the bus's name from the hub's stack."""
    name = hub["Resources"]["NoticesBus"]["Properties"]["Name"]
    assert {json.dumps(rule["EventBusName"]) for rule in RULES.values()} == {json.dumps(name)}
