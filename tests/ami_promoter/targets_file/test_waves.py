"""Waves in a targets file: what they mean, and all faults at once."""

import pytest

from ami_promoter.targets_file.compiler import HubPlace, compile_targets
from ami_promoter.targets_file.difference import to_json, to_text
from chalicelib.targets.applied_file import Directory
from chalicelib.targets.difference import difference
from chalicelib.targets.waves import Wave

HUB = HubPlace("us-east-1", "999999999999")
A, B, C = (str(number) * 12 for number in (1, 2, 3))


def compiled(groups: str) -> Directory | list[str]:
    """The directory of a file with these lines of groups, or the texts of its faults."""
    lines = "".join(f"  {line.strip()}\n" for line in groups.strip().splitlines())
    found = compile_targets(f"groups:\n{lines}", "targets.yaml", HUB)
    return found if isinstance(found, Directory) else [str(fault) for fault in found]


CHAIN = f"""
    dev: ["{A}"]
    qa: {{members: ["{B}"], after: dev}}
    prod: {{members: ["{C}"], after: qa, soak: 1d, most_failed: 2}}
"""


def test_a_group_waits_for_another():
    """It is kept beside the groups, and is no setting of a target."""
    found = compiled(CHAIN)
    assert found.waves == {"qa": Wave("dev"), "prod": Wave("qa", 86400, 2)}
    plain = compiled(f'dev: ["{A}"]\nqa: ["{B}"]\nprod: ["{C}"]')
    assert found.accounts == plain.accounts


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("after: dve", "group `prod` waits for `dve`, which is no group of this file"),
        ("after: prod", "group `prod` waits for itself"),
        ("after: [dev]", "`after` cannot be a list"),
        ("soak: 24h", "`soak` has no effect for group `prod`"),
        ("most_failed: 1", "`most_failed` has no effect for group `prod`"),
        ("after: dev, soak: 24", "Write a number and its unit"),
        ("after: dev, soak: one day", "Write a number and its unit"),
        ("after: dev, soak: 15d", "`soak` cannot be `15d`"),
        ("after: dev, most_failed: 10%", "Write a number of deliveries"),
        ("after: dev, most_failed: -1", "Write a number of deliveries"),
        ("after: dev, soaks: 1h", "`soaks` is not a key here"),
    ],
)
def test_what_a_wave_cannot_be(said, fault):
    """One fault for each, with its cure."""
    (found,) = compiled(f'dev: ["{A}"]\nprod: {{members: ["{B}"], {said}}}')
    assert fault in found


def test_a_wave_is_a_setting_of_a_group_alone():
    """Neither of all accounts nor of a single one."""
    for block in ("defaults: {after: dev}", f'accounts: {{"{A}": {{soak: 1h}}}}'):
        (fault,) = compile_targets(f'groups: {{dev: ["{A}"]}}\n{block}', "targets.yaml", HUB)
        assert fault.code == "targets-unknown-key"


def test_all_faults_of_waves_come_at_once():
    """A circle of two, one by a common member, a member of two waves, and an unknown group."""
    found = compiled(f"""
        a: {{members: ["{A}"], after: b}}
        b: {{members: ["{B}"], after: a}}
        c: {{members: ["{C}"], after: nobody}}
        d: {{members: ["444444444444"], after: c, soak: 1h}}
        e: {{members: ["444444444444"], after: c, soak: 2h}}
        f: ["555555555555", "666666666666"]
        g: {{members: ["666666666666"], after: f}}
    """)
    said_all = " ".join(found)
    assert "group `a` waits for itself" in said_all
    assert "group `b` waits for itself" in said_all
    assert "`nobody`, which is no group" in said_all
    assert "444444444444 belongs to `d` and `e`, whose waves differ" in said_all
    assert "666666666666, in `g`, waits for `f`, which waits for 666666666666" in said_all
    assert len(found) == 5


def test_a_unit_may_wait():
    """It stands for the accounts that it brings; the same unit before and after itself is a circle."""
    organization = "organization: {id: o-a1b2c3d4e5}\n"
    text = organization + 'groups:\n  dev: ["ou-ab12-11111111"]\n  prod: {members: [%s], after: dev}\n'
    found = compile_targets(text % '"ou-ab12-22222222"', "targets.yaml", HUB)
    assert isinstance(found, Directory)
    assert found.waves == {"prod": Wave("dev")}
    (fault,) = compile_targets(text % '"ou-ab12-11111111"', "targets.yaml", HUB)
    assert fault.code == "targets-wave"


def test_a_new_file_shows_its_waves():
    """As text for a person, and as JSON data."""
    new = compiled(CHAIN.replace("soak: 1d, most_failed: 2", "most_failed: 1"))
    change = difference(compiled(CHAIN), new)
    assert list(to_text(change)) == [
        "~ wave of group prod: after qa, 24h later, if at most 2 of it failed -> after qa, if at most 1 of it failed"
    ]
    assert to_json(change)["waves"] == [
        {
            "group": "prod",
            "from": {"after": "qa", "soak": 86400, "most_failed": 2},
            "to": {"after": "qa", "soak": 0, "most_failed": 1},
        }
    ]
