"""What `doctor` and `verify` print of a thousand targets: a screen that a person reads."""

import pytest

from ami_promoter.reconcile import grouped_checks
from tests.ami_promoter.printing import as_printed

REGION = "us-east-1"
ACCOUNTS = [str(200000000000 + n) for n in range(1000)]
CHECKS = ("target", "key", "forwarding", "settings")


def a_check(where, check, *, passed=True, what="It is well.", cure=""):
    return {"where": where, "check": check, "passed": passed, "what": what, "cure": cure}


def printed(checks, *, wide=False):
    """Return the lines on a terminal of 80 columns."""
    return as_printed([*grouped_checks.lines(checks, wide=wide), grouped_checks.verdict(checks)])


@pytest.fixture
def thousand():
    """A thousand targets: of some the key is disabled, of some others no role; and one has a trouble of its own."""
    found = [a_check("hub", "notices")]
    for n, account in enumerate(ACCOUNTS):
        where = f"{account}/{REGION}"
        key = f"arn:aws:kms:{REGION}:{account}:key/{n:08x}-0000-0000-0000-000000000000"
        if n % 100 == 0:
            found.append(a_check(where, "target", passed=False, what=f"{account} has no role.", cure="Deploy it."))
            continue
        found += [a_check(where, check) for check in CHECKS]
        if n % 10 == 1:
            found[-3] = a_check(where, "key", passed=False, what=f"The key {key} is disabled.", cure=f"Enable {key}.")
    found.append(a_check(f"{ACCOUNTS[5]}/{REGION}", "copy-quota", passed=None, what="Nobody knows.", cure="Look."))
    return found


def test_what_is_the_same_of_each_target_has_no_example():
    """The text is about all of them."""
    found = [a_check(f"{account}/{REGION}", "source-tags", what="Open.", cure="List tags.") for account in ACCOUNTS[:2]]

    assert "    Open." in printed(found)


def test_a_thousand_targets_are_a_screen(thousand):
    """Equal findings are one, with the first place named; what did not pass is first, and the last line counts."""
    assert printed(thousand) == [
        "FAILED  10 targets (200000000000 us-east-1, 200000000100 us-east-1, 200000000200",
        "        us-east-1 and 7 more): target",
        "    In 200000000000 us-east-1, for example: 200000000000 has no role.",
        "    Deploy it.",
        "FAILED  100 targets (200000000001 us-east-1, 200000000011 us-east-1,",
        "        200000000021 us-east-1 and 97 more): key",
        "    In 200000000001 us-east-1, for example: The key",
        "    arn:aws:kms:us-east-1:200000000001:key/00000001-0000-0000-0000-000000000000",
        "    is disabled.",
        "    Enable",
        "    arn:aws:kms:us-east-1:200000000001:key/00000001-0000-0000-0000-000000000000.",
        "not seen  200000000005 us-east-1: copy-quota",
        "    Nobody knows.",
        "    Look.",
        "passed  hub",
        "    notices",
        "passed  100 targets (200000000001 us-east-1, 200000000011 us-east-1,",
        "        200000000021 us-east-1 and 97 more)",
        "    target, forwarding, settings",
        "passed  890 targets (200000000002 us-east-1, 200000000003 us-east-1,",
        "        200000000004 us-east-1 and 887 more)",
        "    target, key, forwarding, settings",
        "Of 3,972 checks, 110 failed and 1 could not be made: 111 of 1,000 targets.",
    ]


def test_wide_shows_each_by_itself(thousand):
    """Nothing is left out."""
    lines = printed(thousand, wide=True)

    assert sum(line.startswith(("passed  ", "FAILED  ", "not seen  ")) for line in lines) == len(thousand)


def test_one_target_is_shown_by_its_name():
    """Without counting; of the hub, equal findings stay apart."""
    where = f"{ACCOUNTS[0]}/{REGION}"
    checks = [a_check("hub", "parked", passed=False, what=what) for what in ("One.", "One.")]

    assert printed([*checks, a_check(where, "target")]) == [
        "FAILED  hub: parked",
        "    One.",
        "FAILED  hub: parked",
        "    One.",
        "passed  200000000000 us-east-1",
        "    target",
        "Of 3 checks, 2 failed: the hub.",
    ]
    unmade = [a_check("hub", "alarms", passed=None), a_check(where, "target")]
    assert printed(unmade)[-1] == "Of 2 checks, 1 could not be made: the hub."
    assert printed([a_check(where, "target")])[-1] == "All checks passed."
    assert printed([a_check(where, "target", cure="Do more.")])[-1] == "All checks passed, with warnings."
