"""Settings that conflict, or that have no effect in a target's mode, with the exact messages."""

import pytest

from ami_promoter.targets_file.compiler import HubPlace, compile_targets
from chalicelib.targets.applied_file import Directory

DEV, HUB = "222222222222", "999999999999"
FILE = """\
groups:
  dev: ["222222222222"]
accounts:
  "{account}": {{{settings}}}
"""


def compiled(settings, account=DEV):
    """Compile a file in which one account has these settings of its own."""
    return compile_targets(FILE.format(account=account, settings=settings), "t.yaml", HubPlace("us-east-1", HUB))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "mode: share, regions: [us-east-1, eu-west-1]",
            (
                "t.yaml:4:33: an AMI can be shared in its own Region only, which is us-east-1; 222222222222 names "
                "another Region. Leave `regions` out, or write `mode: copy`."
            ),
        ),
        (
            'until: "2027-06-30"',
            (
                "t.yaml:4:20: `until` has no effect for 222222222222, which gets a copy. Leave `until` out, or write "
                "`mode: share`."
            ),
        ),
        (
            "share_snapshots: true",
            (
                "t.yaml:4:20: `share_snapshots` has no effect for 222222222222, which gets a copy. Leave "
                "`share_snapshots` out, or write `mode: share`."
            ),
        ),
        (
            "by_way_of_hub: true",
            (
                "t.yaml:4:20: `by_way_of_hub` has no effect for 222222222222, which gets AMIs in the hub's own Region "
                "only. Leave it out, or write `regions`."
            ),
        ),
        (
            "by_way_of_hub: true, regions: [eu-west-1]",
            (
                "t.yaml:4:20: 222222222222 gets AMIs in eu-west-1 by way of the hub, which is no target there itself. "
                'Write `"999999999999": {regions: [eu-west-1]}` under `accounts`.'
            ),
        ),
        (
            'mode: share, until: "2027-02-30"',
            't.yaml:4:33: there is no day 2027-02-30. Write a day in quotes, like `"2027-06-30"`.',
        ),
        (
            "service_linked_roles: [AWSServiceRoleForNobody]",
            (
                "t.yaml:4:43: the service that `AWSServiceRoleForNobody` belongs to is not known. Write it in front: "
                "`SERVICE.amazonaws.com/AWSServiceRoleForNobody` (aws iam list-roles shows it in the path)."
            ),
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(settings, said):
    """When the file is applied, with line and column; nothing is written."""
    found = compiled(settings)

    assert isinstance(found, tuple)
    assert said in [str(fault) for fault in found]


def test_the_hub_shares_nothing_with_itself():
    """The hub owns the AMI; in another Region it may own a copy."""
    found = compiled("mode: share, regions: [eu-west-1]", account=HUB)

    assert isinstance(found, tuple)
    assert (
        f"t.yaml:4:20: {HUB} is the hub itself, which needs no share of what it owns. Write `mode: copy` for it, "
        "under `accounts`." in [str(fault) for fault in found]
    )


def test_what_share_mode_means_where_nothing_is_said():
    """A statement in the key's policy, and Auto Scaling's role; the file can change both."""
    directory = compiled("mode: share")
    assert isinstance(directory, Directory)
    (target,) = directory.accounts[DEV]
    assert (target.key_access, target.service_linked_roles) == (
        "policy",
        ("autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",),
    )

    directory = compiled("mode: share, key_access: none, service_linked_roles: []")
    assert isinstance(directory, Directory)
    (target,) = directory.accounts[DEV]
    assert (target.key_access, target.service_linked_roles) == ("none", ())
