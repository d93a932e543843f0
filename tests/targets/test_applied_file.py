"""What a trigger's value means, and the applied file as table items."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.engine import addresses
from chalicelib.targets import applied_items
from chalicelib.targets.applied_file import Directory, Target, Trigger, parse_trigger, resolve

DEV, PROD, LONE = "111111111111", "222222222222", "033333333333"


def a_target(account, **settings):
    return Target(account, "us-east-1", **settings)


DIRECTORY = Directory(
    groups={"default": (DEV,), "dev": (DEV,), "all": (DEV, PROD)},
    accounts={account: (a_target(account),) for account in (DEV, PROD, LONE)},
)

names = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,62}", fullmatch=True).filter(lambda name: name != "true")
ids = st.from_regex(r"[0-9]{12}", fullmatch=True)
words = st.lists(st.one_of(names, ids), min_size=1)
anything = st.one_of(st.text(), st.lists(st.one_of(names, ids, st.text(max_size=14), st.just("true"))).map(" ".join))


@given(anything)
def test_any_value_is_a_trigger_whose_text_means_the_same_or_has_faults(value):
    """Parsing never raises: a value is understood, or refused with reasons."""
    parsed = parse_trigger(value)

    assert parsed.groups or parsed.accounts or parsed.faults
    if not parsed.faults:
        assert parse_trigger(" ".join((*parsed.groups, *parsed.accounts))) == parsed


@given(st.one_of(anything, words.map(" ".join)), st.randoms(use_true_random=False))
def test_order_repeats_and_separators_do_not_matter(value, random):
    """The same names in another order, repeated, or with other separators mean the same, or have the same faults."""
    listed = [word for word in re.split(r"[\s,+]+", value) if word]
    shuffled = [*listed, *listed[:2]]
    random.shuffle(shuffled)
    separator = random.choice([" ", ",", "+", ", ", "  ", " + "])

    assert parse_trigger(separator.join(shuffled)) == parse_trigger(value)


@pytest.mark.parametrize("value", ["", "  ", ",", "true", " true ", "true,true"])
def test_nothing_and_true_mean_the_group_default(value):
    """An empty value and `true` stand for the group `default`."""
    assert parse_trigger(value) == Trigger(groups=("default",))


def test_names_and_ids_are_notified_apart():
    """Twelve digits are an account, also with a leading zero; other names are groups."""
    assert parse_trigger(f"dev,{LONE} + prod-1 {DEV}") == Trigger(("dev", "prod-1"), (LONE, DEV))


FAULTS = {
    "12345": "`12345` is not an account id: it has 5 digits. Write all 12 digits, leading zeros too, without dashes.",
    "1111-1111-1111": "`1111-1111-1111` is not an account id: it has 12 digits and dashes. "
    "Write all 12 digits, leading zeros too, without dashes.",
    "true dev": "`true` means the group `default` and must be the only word. Write `default` instead.",
    "dev;prod": "`dev;prod` is neither the name of a group nor an account id. Write group names (a letter first, then "
    "letters, digits, `.`, `_`, `-`) and 12-digit account ids, separated by spaces, commas or `+`.",
}


@pytest.mark.parametrize("value", FAULTS)
def test_what_is_wrong_with_a_value_is_said_in_full(value):
    """The message names the word, the reason, and what to write."""
    (fault,) = parse_trigger(value).faults

    assert str(fault) == f"value of the trigger tag: {FAULTS[value]}"


def test_digits_of_other_scripts_are_no_account_id():
    """Only ASCII digits make an id, whatever `str.isdigit` says."""
    (fault,) = parse_trigger("\u0661" * 12).faults

    assert fault.code == "trigger-name"


def test_a_long_word_is_shown_in_part():
    """A fault stands in a notice, which somebody reads."""
    (fault,) = parse_trigger("é" + "x" * 200).faults
    assert len(re.findall("`(.*?)`", fault.what)[0]) == 80


def test_every_fault_of_a_value_is_listed_at_once():
    """One look shows all mistakes."""
    codes = [fault.code for fault in parse_trigger("true 12 a/b dev").faults]

    assert codes == ["trigger-account-id", "trigger-name", "trigger-true"]


def test_groups_and_accounts_resolve_to_targets_once_each():
    """An account that several words name is one target, with the groups that contain it."""
    found = resolve(f"all dev {PROD} {LONE}", DIRECTORY, "d1")

    assert [target.account for target in found.targets] == [LONE, DEV, PROD]
    assert found.groups == {f"{DEV}/us-east-1": ("all", "dev"), f"{PROD}/us-east-1": ("all",), f"{LONE}/us-east-1": ()}
    assert (found.faults, found.digest) == ((), "d1")


def test_who_copies_from_the_hub_gets_the_hubs_copy_of_its_own_region():
    """The hub has copies in two Regions. Where it has none, nothing begins for the account, and a fault says so."""
    hub = tuple(Target(LONE, region) for region in ("eu-west-1", "eu-central-1"))

    def resolved(region):
        there = {DEV: (Target(DEV, region, by_way_of=LONE),), LONE: hub}
        found = resolve("dev", Directory({"dev": (DEV,)}, there), "d1")
        return [target.place for target in found.targets], [fault.code for fault in found.blocked.values()]

    assert resolved("eu-central-1") == ([f"{LONE}/eu-central-1", f"{DEV}/eu-central-1"], [])
    assert resolved("eu-north-1") == ([], ["no-hub-copy"])


def test_one_unknown_name_resolves_to_no_target():
    """A stranger's account or a misspelt group refuses the whole value."""
    found = resolve("dve 999999999999 dev", DIRECTORY, "d1")

    assert (found.targets, found.digest) == ((), "d1")
    assert [str(fault) for fault in found.faults] == [
        (
            "value of the trigger tag: the applied targets file has no group `dve`. Did you mean `dev`? If not, add "
            "the group to the file and apply it, or name another group or an account."
        ),
        (
            "value of the trigger tag: the applied targets file does not contain account 999999999999, so the service "
            "shares nothing with it. Add it to a group or under `accounts` and apply the file, or correct the id."
        ),
    ]


def test_an_empty_value_without_a_default_group_says_so():
    """The fault explains what an empty value means."""
    (fault,) = resolve("", Directory(accounts=DIRECTORY.accounts)).faults

    assert str(fault) == (
        "value of the trigger tag: the applied targets file has no group `default`, which an empty value and `true` "
        "mean. Add the group to the file and apply it, or name another group or an account."
    )


settings = st.builds(
    Target,
    account=ids,
    region=st.just("us-east-1"),
    external_id=st.text(max_size=20),
    key=st.text(max_size=20),
    tags=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    grantee=st.sampled_from(["role", "account"]),
    release_when=st.sampled_from(["copied", "registered"]),
    linger=st.integers(0, 86400),
    approval=st.sampled_from(["none", "required"]),
)


@given(
    st.dictionaries(ids, settings, max_size=3),
    st.dictionaries(names, st.lists(ids, unique=True, max_size=3).map(sorted).map(tuple), max_size=3),
)
def test_a_directory_survives_its_items(accounts, groups):
    """What is written to the table is read back, with every setting."""
    directory = Directory(
        groups, {account: (replace(target, account=account),) for account, target in accounts.items()}
    )

    assert applied_items.from_items(applied_items.to_items(directory)) == directory


def test_equal_directories_have_equal_items_and_digests():
    """The order of lines does not matter, so applying the file again changes nothing."""
    one = Directory({"a": (DEV, PROD), "b": (DEV,)}, {DEV: (a_target(DEV, tags={"x": "1", "y": "2"}),)})
    two = Directory({"b": (DEV,), "a": (PROD, DEV)}, {DEV: (a_target(DEV, tags={"y": "2", "x": "1"}),)})

    assert applied_items.to_items(one) == applied_items.to_items(two)
    assert addresses.digest_of(applied_items.to_items(one)) == addresses.digest_of(applied_items.to_items(two))


def test_a_digest_knows_a_changed_and_a_missing_item():
    """The digest shows tampering."""
    items = applied_items.to_items(DIRECTORY)
    missing = {key: body for key, body in items.items() if key != "group#dev"}
    changed = items | {"group#dev": json.dumps([PROD])}

    assert len({addresses.digest_of(items), addresses.digest_of(missing), addresses.digest_of(changed)}) == 3


@pytest.mark.parametrize(
    ("key", "body", "message"),
    [
        ("account#1", '[{"account":"1","region":"r","mode":"steal"}]', r"account#1\[0\].mode: 'steal' is no"),
        ("account#1", '[{"account":"1","region":"r","colour":"red"}]', r"account#1\[0\]: Target has no colour"),
        ("group#g", '{"a": 1}', "group#g: {'a': 1} is no list"),
        ("group#no!pe", "[]", "group#no!pe: no tag can name it"),
        ("account#-x", "[]", "account#-x: no tag can name it"),
        ("account#111111111111", '[{"account":"222222222222","region":"r"}]', "a target of another account"),
        ("own#111111111111", '{"g": [{"account":"2","region":"r"}]}', "a target of another account"),
        ("role#g", "[]", "role#g: a targets item is a group, a wave or an account, or says how units bring accounts"),
    ],
)
def test_items_of_another_shape_stop_at_the_permission(key, body, message):
    """The service never ignores an unknown setting."""
    with pytest.raises(ValueError, match=message):
        applied_items.from_items({key: body})
