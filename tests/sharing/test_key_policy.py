"""The service's statements in a key policy: added, found and removed; the text of others stays."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine.faults import Fault
from chalicelib.sharing import key_policy
from chalicelib.sharing.key_policy import Access, Audience, Document, PolicyShare

HUB, DEV, PROD = "111111111111", "222222222222", "444444444444"
KEY = f"arn:aws:kms:us-east-1:{HUB}:key/0"
HUB_SID = key_policy.hub_sid(HUB, "us-east-1")
OWNERS: dict[str, Any] = {
    "Sid": "Enable IAM User Permissions",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"},
    "Action": "kms:*",
    "Resource": "*",
}
POLICY: dict[str, Any] = {"Version": "2012-10-17", "Id": "key-default-1", "Statement": [OWNERS]}


def role(account: str) -> str:
    """The ARN of the role in a target."""
    return f"arn:aws:iam::{account}:role/AmiCopyRole"


def copies(account: str = DEV) -> Access:
    """The access of a copying role."""
    return Access(account, Audience.COPIES, role(account), HUB_SID)


def whole(account: str = DEV) -> Access:
    """The access of a whole account."""
    return Access(account, Audience.ACCOUNT, f"arn:aws:iam::{account}:root", HUB_SID)


def document(text: str | dict[str, Any] = POLICY) -> Document:
    read = key_policy.read(KEY, text if isinstance(text, str) else json.dumps(text), HUB_SID)
    assert isinstance(read, Document), read
    return read


def added(text: str | dict[str, Any], *wanted: Access) -> str:
    """The text with the service's statements for these."""
    after = key_policy.edited(document(text), wanted)
    assert isinstance(after, str), after
    return after


def removed(text: str, *unwanted: Access) -> str:
    """The text without the service's statements for these."""
    after = key_policy.edited(document(text), (), unwanted)
    assert isinstance(after, str), after
    return after


def fault(result: str | Fault | Document) -> Fault:
    """The fault; the result must be one."""
    assert isinstance(result, Fault), result
    return result


# --- statements of others ---------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=8)
VALUES = st.recursive(
    WORDS | st.booleans() | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner)
)
THEIRS = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"]), "Principal": st.just({"AWS": ["*"]}), "Action": VALUES},
    optional={"Sid": WORDS | st.just("AmiPromoter"), "Condition": st.dictionaries(WORDS, VALUES, max_size=2)},
)
ACCESSES = st.sampled_from(
    [make(account) for account in (DEV, PROD, "000000000001") for make in (copies, whole)]
    + [Access(DEV, Audience.ROLES, role(DEV), HUB_SID)]
)
EDITS = st.lists(st.tuples(st.booleans(), st.lists(ACCESSES, min_size=1, max_size=3)), max_size=8)


@given(st.lists(THEIRS, max_size=4), EDITS, st.sampled_from([None, 2]), st.booleans(), WORDS)
def test_statements_of_others_keep_their_text_whatever_is_added_and_removed(theirs, edits, indent, alone, ident):
    """The text and order of other statements and members stay; the service's are those last added and not removed."""
    statements = OWNERS if alone else [OWNERS, *theirs]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements, "Id": ident}, indent=indent)
    there: dict[str, Access] = {}
    policy = text
    for adds, accesses in edits:
        policy = added(policy, *accesses) if adds else removed(policy, *accesses)
        for one in accesses:
            there.pop(one.share_name, None)
            if adds:
                there[one.share_name] = one
        parts = document(policy).policy.parts
        mine = [part for part in parts if part.sid in document(policy).sids]
        assert [policy[p.start : p.end] for p in parts if p not in mine] == [
            text[p.start : p.end] for p in document(text).policy.parts
        ]
        assert document(policy).policy.rest == document(text).policy.rest
        assert len(mine) == sum(len(key_policy.statements(one)) for one in there.values())
        assert all(document(policy).gives(one) for one in there.values())
    if not alone:
        assert removed(policy, *there.values()) == text


def test_one_statement_alone_becomes_the_first_of_a_list():
    """KMS accepts a Statement that is not a list; it is the same after the service's came and went."""
    text = json.dumps({"Version": "2012-10-17", "Statement": OWNERS}, indent=4)
    after = removed(added(text, copies()), copies())

    assert json.loads(after)["Statement"] == [OWNERS]
    assert json.dumps(OWNERS, indent=4).replace("\n", "\n    ") in after


def test_a_member_that_stands_twice_in_a_strangers_statement_stays_twice():
    """Parsing the statement would keep the last one only."""
    twice = '{"Sid":"a","Sid":"b","Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*"}'
    text = f'{{"Statement" : [ {json.dumps(OWNERS)} , {twice} ]}}'

    assert twice in added(text, copies())
    assert removed(added(text, copies()), copies()) == text


def test_statements_that_resemble_the_services_stay():
    """The service's Sids have this hub, an account and an audience; `admin key-policy` prints other Sids."""
    ours = copies().sid
    sids = ["AmiPromoterLooksAtTheKey", f"AmiPromoter{DEV}Copies", ours.removesuffix("Copies"), f"{ours}X", f"x{ours}"]
    theirs = [{**OWNERS, "Sid": sid} for sid in sids]
    text = json.dumps({"Statement": [OWNERS, *theirs]})

    assert removed(text, copies(), whole()) == text
    assert document(text).sids == frozenset()


def test_another_hubs_statement_for_the_same_account_stays():
    """Two hubs in two Regions of one account share a key: each adds and removes its own statements only."""
    other = Access(DEV, Audience.COPIES, role(DEV), key_policy.hub_sid(HUB, "eu-west-1"))
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in other.sids | copies().sids)

    theirs = json.dumps({**POLICY, "Statement": [OWNERS, *key_policy.statements(other)]})
    both = added(theirs, copies())
    assert document(both).sids == copies().sids
    assert removed(both, copies()) == theirs


def test_statements_of_the_service_that_no_share_needs_go_with_an_edit():
    """By their Sids alone: their share is no longer known."""
    text = added(POLICY, copies(PROD))

    after = key_policy.edited(document(text), [copies()], (), copies(PROD).sids)
    assert after == added(POLICY, copies())


def test_a_statement_that_somebody_has_changed_is_written_again_and_only_once():
    """Its Sid is the service's; duplicates and changed statements do not stay."""
    changed = {**key_policy.statements(copies())[0], "Action": "kms:*"}
    text = added({"Statement": [changed, OWNERS, changed]}, copies())

    assert document(text).gives(copies())
    assert json.loads(text)["Statement"] == [OWNERS, *key_policy.statements(copies())]


def test_what_stands_there_in_other_words_is_left_alone():
    """KMS may show an account id for a root, or a list for a single value."""
    look = {**key_policy.statements(copies())[1], "Principal": {"AWS": [DEV]}, "Action": ["kms:DescribeKey"]}
    text = json.dumps({"Statement": [OWNERS, look, key_policy.statements(copies())[0]]})

    assert added(text, copies()) == text


# --- the service's statements -----------------------------------------------------------------------------------------


def test_a_roles_statements_name_the_role_and_ec2():
    """Account as principal and role as condition: a new role of that name is admitted, and none blocks the policy."""
    use, look = key_policy.statements(copies())

    assert use["Principal"] == look["Principal"] == {"AWS": f"arn:aws:iam::{DEV}:root"}
    assert use["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": role(DEV)},
        "StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"},
        "BoolIfExists": {"kms:GrantIsForAWSResource": "true"},
    }
    assert look["Condition"] == {"ArnEquals": {"aws:PrincipalArn": role(DEV)}}
    assert look["Action"] == "kms:DescribeKey"
    assert all(statement["Sid"].isalnum() for statement in (use, look))


def test_a_whole_account_uses_the_key_through_ec2_only():
    """In share mode the account's administrators decide who; without EC2 only DescribeKey is allowed."""
    use, look = key_policy.statements(whole())

    assert use["Condition"]["StringLike"] == {"kms:ViaService": "ec2.*.amazonaws.com"}
    assert "ArnEquals" not in use["Condition"]
    assert "Condition" not in look


def test_grants_for_service_linked_roles_are_for_nobody_else():
    """The target's role creates them, for roles under aws-service-role, with the operations that AWS lists."""
    access = Access(DEV, Audience.ROLES, "arn:aws-cn:iam::222222222222:role/AmiCopyRole", HUB_SID)
    (statement,) = key_policy.statements(access)

    assert statement["Action"] == "kms:CreateGrant"
    assert statement["Condition"]["ArnEquals"] == {"aws:PrincipalArn": access.principal}
    assert statement["Condition"]["StringLike"] == {
        "kms:GranteePrincipal": f"arn:aws-cn:iam::{DEV}:role/aws-service-role/*"
    }


@pytest.mark.parametrize("one", [copies(), whole(), Access(DEV, Audience.ROLES, role(DEV), HUB_SID)])
def test_a_shares_name_tells_what_it_opens(one):
    """The permission adapter gets only a share's holder key and grantee."""
    assert Access(*PolicyShare.parse(one.share_name), one.principal, HUB_SID) == one


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        (f'{{"Statement":[{{"Condition":{"[" * 2000 + "]" * 2000}}}]}}', "no JSON"),  # it parses; nothing compares it
        ("[]", "0 members named Statement"),
        ('{"Version":"2012-10-17"}', "0 members named Statement"),
        ('{"Statement":[],"Statement":[]}', "2 members named Statement"),
        ('{"Statement":["x"]}', "not an object"),
        ('{"Statement":"x"}', "not an object"),
    ],
)
def test_a_document_that_cannot_be_taken_apart_is_refused(text, why):
    """The service never rewrites a document that it cannot read."""
    found = fault(key_policy.read(KEY, text, HUB_SID))

    assert found.code == "key-policy-unreadable"
    assert why in found.what
    assert found.where == KEY


def test_a_policy_about_to_pass_32_kilobytes_is_refused_with_the_grant_as_the_way_out():
    """A policy of exactly the limit is written; the fault names the size."""
    size = len(added(POLICY, copies()).encode())
    fits = json.dumps({**POLICY, "Id": POLICY["Id"] + "x" * (key_policy.LIMIT - size)})
    over = json.dumps({**POLICY, "Id": POLICY["Id"] + "x" * (key_policy.LIMIT - size + 1)})

    assert len(added(fits, copies()).encode()) == key_policy.LIMIT
    found = fault(key_policy.edited(document(over), [copies()]))
    assert found.code == "key-policy-too-large"
    assert "32769 bytes" in found.what
    assert f"account {DEV}" in found.what
    assert "key_access: grant" in found.cure


def test_bytes_are_counted_and_not_letters():
    """A letter outside ASCII takes two bytes in UTF-8."""
    size = len(added(POLICY, copies()).encode())
    over = json.dumps({**POLICY, "Id": "ä" * ((key_policy.LIMIT - size) // 2 + 20)}, ensure_ascii=False)

    assert fault(key_policy.edited(document(over), [copies()])).code == "key-policy-too-large"


def test_a_policy_that_is_too_large_already_still_loses_the_services_statements():
    """The removal makes it smaller."""
    text = added(POLICY, copies()).replace("key-default-1", "x" * key_policy.LIMIT)

    assert document(removed(text, copies())).sids == frozenset()


@pytest.mark.parametrize("element", ["Principal", "NotPrincipal"])
def test_a_dead_principal_is_named_before_a_put_fails(element):
    """KMS would refuse the document, also for a removal of the service's statements."""
    dead = {"Sid": "Operators", "Effect": "Allow", element: {"AWS": ["AROAQWERTYUIOPASDFGH1", HUB]}, "Action": "kms:*"}
    text = json.dumps({"Statement": [OWNERS, dead, *key_policy.statements(copies())]})

    for result in (key_policy.edited(document(text), [whole()]), key_policy.edited(document(text), (), [copies()])):
        found = fault(result)
        assert found.code == "key-policy-dead-principal"
        assert "'Operators'" in found.what
        assert "AROAQWERTYUIOPASDFGH1" in found.what
    assert added(text, copies()) == text, "nothing to put"


def test_every_dead_principal_is_notified_at_once():
    """Before anything is opened, one pass shows all faults."""
    statement = {"Effect": "Allow", "Principal": {"AWS": ["AIDAQWERTYUIOPASDFGH1", "AROAQWERTYUIOPASDFGH2"]}}
    text = json.dumps({"Statement": [OWNERS, statement]})
    found = key_policy.faults(KEY, HUB, "us-east-1", text, [copies()])

    assert [one.code for one in found] == ["key-policy-dead-principal"] * 2
    assert "Statement 2, which has no Sid," in found[0].what
    assert key_policy.faults(KEY, HUB, "us-east-1", json.dumps(POLICY), [copies()]) == ()


def test_a_key_of_another_account_is_refused():
    """No account can read or write the policy of another account's key."""
    (found,) = key_policy.faults(KEY, PROD, "us-east-1", json.dumps(POLICY), [copies()])

    assert found.code == "key-policy-foreign"
    assert f"account {HUB}" in found.what
    assert "key_access: none" in found.cure


def test_a_policy_with_the_services_statements_alone_is_not_emptied():
    """The owner's statement was removed; KMS accepts no policy without statements."""
    text = json.dumps({"Statement": list(key_policy.statements(copies()))})

    assert fault(key_policy.edited(document(text), (), [copies()])).code == "key-policy-would-be-empty"
