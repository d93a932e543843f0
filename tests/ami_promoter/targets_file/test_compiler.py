"""Targets files: what is accepted, what it means, and every fault's exact text."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_promoter.targets_file import document, waves
from ami_promoter.targets_file.compiler import HubPlace, compile_targets, duration, seconds
from ami_promoter.targets_file.settings import table
from chalicelib.engine.schedule import DAY
from chalicelib.targets.applied_file import Directory, LaunchTest, Retirement, Target, of_delivery

GOLDEN = Path(__file__).parent / "golden"
HUB = HubPlace("us-east-1", "999999999999")
ONE = '["111111111111"]'
PARAMETER = "ssm_parameter: '/golden/{family}/current'"
LAUNCH_TEST = "launch_test: {instance_type: t3.micro"
NO_REGION = "is not a Region that this version knows beside the hub's us-east-1."


def compiled(text, hub=HUB):
    directory = compile_targets(text, "targets.yaml", hub)
    assert isinstance(directory, Directory), [str(fault) for fault in directory]
    return directory


def faults(text, hub=HUB):
    found = compile_targets(text, "targets.yaml", hub)
    assert isinstance(found, tuple)
    return [str(fault) for fault in found]


def one_account(*settings):
    """The text of a file with one group, of one account, and these settings."""
    return f"groups: {{default: {{{', '.join((f'members: {ONE}', *settings))}}}}}"


def target(*settings):
    """The one target of a file whose group has these settings."""
    (found,) = compiled(one_account(*settings)).accounts["111111111111"]
    return found


@pytest.mark.parametrize("name", ["faults", "conflicts", "modes", "units"])
def test_every_fault_is_notified_at_once_with_place_and_cure(name):
    """One list, in the order of the lines, so that all can be repaired at once; no fault brings forth others."""
    text = (GOLDEN / f"{name}.yaml").read_text()

    known = ", ".join(f"`{key}`" for key in sorted({*table(), "members", *waves.KEYS}))
    expected = (GOLDEN / f"{name}.txt").read_text().replace("{settings}", known)

    assert faults(text) == expected.splitlines()


def test_a_time_for_copies_is_kept_in_seconds():
    """As every duration; without it there is none. The least and the longest are allowed."""
    times = "complete_within: 0", "complete_within: 1h30m", "complete_within: 48h, copy_deadline: 3d"

    assert [target(one).complete_within for one in times] == [0, 5400, 48 * 3600]
    assert target().complete_within == 0


def test_the_settings_of_a_family_are_those_of_the_target():
    """Whether in the defaults, for a group or for an account; without them there is no parameter."""
    named, plain = target(PARAMETER, "family_tag: image-family"), target()

    assert (named.ssm_parameter, named.family_tag) == ("/golden/{family}/current", "image-family")
    assert (plain.ssm_parameter, plain.family_tag) == ("", "family")
    assert target(f"ssm_parameter: '{'/a' * 14}/{{family}}'").ssm_parameter  # 15 levels, as Parameter Store takes them


def test_a_retirement_has_defaults_and_is_no_setting_of_a_delivery():
    """Days become seconds; without it nothing is retired, and it voids no approval."""
    said = ("retire: {}", "retire: {keep: 5, after: 30d}", "family_tag: family")
    targets = [target(PARAMETER, one) for one in said]

    assert [one.retire for one in targets] == [Retirement(3, 90 * DAY), Retirement(5, 30 * DAY), None]
    assert of_delivery(targets[0]) == of_delivery(targets[2])


def test_what_the_defaults_lack_is_not_said_of_a_group():
    """A group lacks members; a launch test its type."""
    (found,) = faults(f"defaults: {{launch_test: {{within: 15m}}}}\n{one_account()}")

    assert "`launch_test` has no `instance_type`." in found


def test_groups_with_two_retirements_disagree():
    """Said as the file has it."""
    both = [f"{name}: {{members: {ONE}, {PARAMETER}, retire: {{keep: {keep}}}}}" for name, keep in (("a", 2), ("b", 4))]
    (found,) = faults(f"groups: {{{', '.join(both)}}}")

    assert "the groups `a` (keep: 2, after: 90d) and `b` (keep: 4, after: 90d) differ" in found


def test_a_launch_test_has_a_type_and_a_time():
    """In seconds; a quarter of an hour unless the file says more. Groups that disagree are named with both."""
    long, usual = target(LAUNCH_TEST + ", within: 1h}"), target(LAUNCH_TEST + "}")
    (differ,) = faults(f"groups: {{a: {{members: {ONE}, {LAUNCH_TEST}}}}}, b: {ONE}}}")

    assert (long.launch_test, usual.launch_test) == (LaunchTest("t3.micro", 3600), LaunchTest("t3.micro", 900))
    assert target().launch_test is None
    assert "`a` (t3.micro within 15 min) and `b` (nothing, the default) differ" in differ


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        # Steps of 15 minutes up to two days, for targets that copy, and no longer than their copies may take.
        ("complete_within: 20m", "`complete_within` cannot be `20m`"),
        ("complete_within: 49h, copy_deadline: 3d", "`complete_within` cannot be `49h`"),
        ("complete_within: 5m", "Write 15m to 48h, in steps of 15m; or 0."),
        ("complete_within: 30m, mode: share", "`complete_within` has no effect"),
        ("complete_within: 30m, copy_deadline: 15m", "is longer than `copy_deadline`"),
        ("complete_within: 36h", "is longer than `copy_deadline`"),
        # AWS reserves some names of parameters; a tag of AWS's or of the service's names no family.
        ("ssm_parameter: 'golden/{family}'", "`ssm_parameter` cannot be"),
        ("ssm_parameter: /golden/current", "`ssm_parameter` cannot be"),
        ("ssm_parameter: '/aws/{family}'", "`ssm_parameter` cannot be"),
        ("ssm_parameter: '/ssm/{family}'", "`ssm_parameter` cannot be"),
        ("ssm_parameter: '/{family}/{family}'", "`ssm_parameter` cannot be"),
        ("ssm_parameter: '/golden/{family}/'", "`ssm_parameter` cannot be"),
        ("ssm_parameter: '/golden/*/{family}'", "`ssm_parameter` cannot be"),
        (f"ssm_parameter: '{'/a' * 15}/{{family}}'", "`ssm_parameter` cannot be"),
        ("family_tag: 'aws:family'", "`family_tag` cannot be"),
        ("family_tag: 'ami-promoter:hub'", "`family_tag` cannot be"),
        ("family_tag: 'AMI-Promoter:hub'", "`family_tag` cannot be"),
        ("family_tag: ''", "`family_tag` cannot be"),
        # A retirement needs a parameter, which says what is current, and a copy.
        ("retire: {}", "`retire` has no effect for 111111111111, which has no `ssm_parameter`"),
        (f"{PARAMETER}, mode: share, retire: {{}}", "`retire` has no effect for 111111111111, which gets no copy"),
        (f"{PARAMETER}, retire: {{keep: 0}}", "`keep` cannot be `0`. Write a number from 1 to 40."),
        (f"{PARAMETER}, retire: {{after: 12h}}", "`after` cannot be `12h`. Write a number of days, like `90d`."),
        (f"{PARAMETER}, retire: {{afer: 12d}}", "`afer` is not a key here. Did you mean `after`?"),
        (f"{PARAMETER}, retire: 90d", "`retire` cannot be `90d`. Write a mapping, like `{keep: 3, after: 90d}`."),
        # The hub keeps what is shared; without a key share, nobody is named in one.
        ("copy_method: image, mode: share", "`copy_method` has no effect for 111111111111, which gets no copy"),
        (
            "ami_name: 'golden-{source_id}', mode: share",
            "`ami_name` has no effect for 111111111111, which gets no copy",
        ),
        ("tags: {stage: prod}, mode: share", "`tags` has no effect for 111111111111, which gets no copy"),
        ("release_when: registered, mode: share", "`release_when` has no effect for 111111111111, which gets no copy"),
        ("linger: 10m, mode: share", "`linger` has no effect for 111111111111, which gets no copy"),
        ("mode: share, until: '1970-01-01'", "`until` cannot be `1970-01-01`"),  # 0 would be: without end
        ("grantee: account, key_access: none", "`grantee` has no effect for 111111111111, which gets no source key"),
        # The subnet of a launch test is the target's own choice, by a tag.
        ("launch_test: {within: 15m}", "`launch_test` has no `instance_type`"),
        ("launch_test: {instance_type: t3}", "`instance_type` cannot be `t3`"),
        (LAUNCH_TEST + ", within: 1m}", "`within` cannot be `1m`. Write 5m to 4h."),
        (LAUNCH_TEST + ", subnet: subnet-0a}", "`subnet` is not a key here"),
        ("queue_deadline: 0", "`queue_deadline` cannot be `0`"),
        ("queue_deadline: 999999999d", "`queue_deadline` cannot be `999999999d`"),
        ("launch_test: t3.micro", "`launch_test` cannot be `t3.micro`"),
        # Misspelt, or in another partition, from which nothing can be copied.
        ("regions: [eu-west-11]", f"`eu-west-11` {NO_REGION} Did you mean `eu-west-1`"),
        ("regions: [us-est-1]", f"`us-est-1` {NO_REGION} Did you mean `us-west-1` or `us-east-1`?"),
        ("regions: [us-gov-west-1]", f"`us-gov-west-1` {NO_REGION} Did you mean `us-west-1`"),
    ],
)
def test_a_setting_that_cannot_be_or_has_no_effect_is_refused(said, fault):
    """By one fault, with its cure."""
    (found,) = faults(one_account(said))

    assert fault in found


@pytest.mark.parametrize(
    ("group", "account"), [("tags: {stage: prod}", "mode: share"), ("grantee: account", "key_access: none")]
)
def test_what_a_group_says_for_its_other_accounts_is_no_fault_of_one_that_differs(group, account):
    """One account of the group has settings of its own, with which that has no effect."""
    members = "members: ['111111111111', '222222222222']"
    text = f"groups: {{default: {{{members}, {group}}}}}\naccounts: {{'222222222222': {{{account}}}}}"
    assert set(compiled(text).accounts) == {"111111111111", "222222222222"}


NO_ACCOUNT = (
    "1:1: the file names no account. "
    'Write at least `groups: {default: ["123456789012"]}` with the id of one of your accounts.'
)
BROKEN = {
    **dict.fromkeys(("", "# only a comment\n", "groups: {}"), NO_ACCOUNT),
    "- a": "1:1: the file cannot be a list. "
    "The file is a mapping with the keys `defaults`, `organization`, `groups` and `accounts`.",
    "groups:\n\tdev: x": "2:1: this is not YAML: while scanning for the next token found character '\\t' that cannot "
    "start any token. Correct this line or the one before it; indent with spaces, and put strings "
    "with special characters in "
    "quotes.",
    "a: b: c": "1:5: this is not YAML: mapping values are not allowed here. Correct this line or the one before it; "
    "indent with spaces, and put strings with special characters in quotes.",
    "groups: \x07": "1:9: there is a character that YAML does not allow (U+0007). Delete it.",
    f"groups: {{default: {ONE}}}\n---\n": "2:1: a second document begins here. Write one document; drop the `---`.",
    f"groups: {{default: &all {ONE}, dev: *all}}": "1:19: anchors and aliases (`all`) are not allowed here. "
    "Move repeated settings to `defaults` or to a group.",
    "groups: !!omap []": "1:9: the YAML tag `tag:yaml.org,2002:omap` is not allowed here. Write the plain value.",
    "[" * 3000
    + "]" * 3000: "1:21: lists and mappings are nested too deeply here. Delete this; no setting is nested so deeply.",
    'groups: {default: ["111111111111\\n"]}': "1:20: this text contains a line break or a control character. "
    "Write it on one line, without `|` or `>`.",
}


@pytest.mark.parametrize("what", ["[", "{", "- ", "? ", "{a: "])
def test_a_file_of_nothing_but_brackets_is_refused_at_once(what):
    """What follows the first bracket that is too deep costs no further step."""
    steps: list[int] = []

    def count(_frame, event, _argument):
        steps[-1] += event == "call"

    for many in (2_000, 200_000):
        steps.append(0)
        sys.setprofile(count)
        try:
            _, faults = document.read(what * many, "t.yaml")
        finally:
            sys.setprofile(None)
        assert [fault.what for fault in faults] == ["lists and mappings are nested too deeply here."]

    assert steps[0] == steps[1]


def test_a_file_that_is_too_large_is_refused_before_it_is_read():
    """Whatever it contains."""
    _, (fault,) = document.read("a" * 1_000_001, "t.yaml")

    assert "1,000,001 characters" in fault.what


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_file_that_cannot_be_read_as_yaml_says_where(text):
    """The fault has line and column, and nothing else is checked."""
    assert faults(text)[0] == f"targets.yaml:{BROKEN[text]}"


@given(st.text())
def test_no_text_makes_it_fail(text):
    """Any text is compiled or refused with reasons."""
    found = compile_targets(text, "targets.yaml", HUB)

    assert isinstance(found, Directory) or found


def test_the_least_file_gives_every_default():
    """Only the account has no default."""
    assert compiled(f"groups: {{default: {ONE}}}") == Directory(
        {"default": ("111111111111",)}, {"111111111111": (Target("111111111111", "us-east-1"),)}
    )


def test_the_nearest_block_decides_a_setting():
    """Account before group before defaults before built-in, for each setting."""
    directory = compiled(
        """
defaults: {key: alias/defaults, role_name: DefaultsRole, linger: 0, tags: {from: defaults}}
groups:
  dev:
    members: ["111111111111", "222222222222"]
    key: alias/dev
    queue_deadline: 1d12h
    tags: {from: dev}
accounts:
  "222222222222": {key: alias/own, linger: 90m}
  "033333333333": {external_id: "0042", grantee: account, release_when: registered}
"""
    )

    role = Target("", "us-east-1", role_name="DefaultsRole")
    dev = replace(role, queue_deadline=36 * 3600, tags={"from": "dev"})
    assert directory == Directory(
        {"dev": ("111111111111", "222222222222")},
        {
            "111111111111": (replace(dev, account="111111111111", key="alias/dev"),),
            "222222222222": (replace(dev, account="222222222222", key="alias/own", linger=5400),),
            "033333333333": (
                replace(
                    role,
                    account="033333333333",
                    key="alias/defaults",
                    external_id="0042",
                    grantee="account",
                    release_when="registered",
                    tags={"from": "defaults"},
                ),
            ),
        },
    )


@pytest.mark.parametrize(
    "key",
    [
        "alias/a-b_c/d",
        "12345678-1234-1234-1234-123456789012",
        "mrk-1234567890abcdef1234567890abcdef",
        "arn:aws:kms:us-east-1:111111111111:key/12345678-1234-1234-1234-123456789012",
        "arn:aws:kms:us-east-1:111111111111:alias/x",
    ],
)
def test_a_key_is_an_alias_an_id_or_an_arn_of_the_account(key):
    """The file takes KMS's own names for keys."""
    directory = compiled(f'accounts: {{"111111111111": {{key: "{key}"}}}}')

    assert directory.accounts["111111111111"][0].key == key


def test_an_account_owns_the_ami_in_each_of_its_regions():
    """One target for each; by default the hub's Region."""
    text = f"defaults: {{regions: [us-east-1, eu-west-1]}}\ngroups: {{default: {ONE}}}"

    assert [target.region for target in compiled(text).accounts["111111111111"]] == ["eu-west-1", "us-east-1"]
    assert [t.region for t in compiled(f"groups: {{default: {ONE}}}").accounts["111111111111"]] == ["us-east-1"]


def test_each_region_may_have_a_key_of_its_own():
    """A Region that is not in the mapping has the built-in alias."""
    arn = "arn:aws:kms:eu-west-1:111111111111:key/12345678-1234-1234-1234-123456789012"
    text = f'accounts: {{"111111111111": {{regions: [us-east-1, eu-west-1], key: {{eu-west-1: "{arn}"}}}}}}'

    keys = {target.region: target.key for target in compiled(text).accounts["111111111111"]}
    assert keys == {"eu-west-1": arn, "us-east-1": "alias/ami-promoter"}


def test_the_hub_may_own_the_ami_in_another_region():
    """But not in its own Region beside it: it owns the AMI there already. The fault needs the hub's account id."""
    text = 'groups: {{default: ["999999999999"]}}\naccounts: {{"999999999999": {{regions: [{}]}}}}'

    (abroad,) = compiled(text.format("eu-west-1")).accounts["999999999999"]
    assert abroad.region == "eu-west-1"
    assert compiled(text.format("us-east-1"), HubPlace("us-east-1"))
    assert len(faults(text.format("eu-west-1, us-east-1"))) == 2, "one for each place in which the file names it"


def test_names_that_yaml_takes_for_something_else_are_names():
    """A group may be called `on`, `no` or `null`."""
    assert set(compiled(f"groups: {{on: {ONE}, no: {ONE}, null: {ONE}}}").groups) == {"on", "no", "null"}


@pytest.mark.parametrize(("text", "length"), [("24h", 86400), ("90m", 5400), ("1d12h", 129600), (0, 0), ("5s", 5)])
def test_durations(text, length):
    """A number and its unit, or several of them."""
    assert seconds(text) == length


@given(st.integers(0, 10**6))
def test_a_shown_duration_means_the_same(length):
    """A duration in a diff can be written into a file."""
    assert seconds(duration(length)) == length


@pytest.mark.parametrize("text", ["", "24", "h", "1w", "-1h", "1h ", "1.5h"])
def test_no_durations(text):
    """Anything else is refused."""
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


def test_what_share_mode_means_where_nothing_is_said():
    """A statement in the key's policy, and Auto Scaling's role; the file can change both."""
    usual, said = target("mode: share"), target("mode: share, key_access: none, service_linked_roles: []")

    role = "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    assert (usual.key_access, usual.service_linked_roles) == ("policy", (role,))
    assert (said.key_access, said.service_linked_roles) == ("none", ())
