"""``make demo-all``: every way of sharing ends as expected, and a way that does not is reported."""

import io
import re

import pytest
from rich.console import Console

from awsim.services.ec2.instances import PERMITTED, SOURCE_KEY
from awsim.world import World
from demo import setting, stage
from demo.__main__ import main
from demo.acts import Play
from demo.options import parse
from demo.ways import WAYS

pytestmark = pytest.mark.thorough

DEV = stage.TARGETS["dev"]


def rows(said: str) -> dict[str, str]:
    """Account and Region -> the table's row, without the name of the way."""
    table = said[said.rindex("─\n") :].splitlines()
    places = "|".join(way.name if way.region == stage.REGION else f"{way.name} {way.region}" for way in WAYS)
    found = (re.search(rf"  ({places})  +(\S.*)", line) for line in table)
    return {one[1]: re.sub(" +", " ", one[2]).strip() for one in found if one}


def test_every_way_of_sharing_ends_as_promised(capsys: pytest.CaptureFixture[str]) -> None:
    """One simulator, thirteen ways: status 0, a row for each, and none is marked."""
    status = main(["--all"])
    said = capsys.readouterr().out
    copied, shared = "✓ delivered ✓ yes ✓ own ✓ none ✓", "✓ withdrawn ✓ while shared ✓ hub's ✓ none -"

    assert status == 0, said
    assert rows(said) == {
        **dict.fromkeys(("dev", "test", "vault", "trusted", "fleet", "team", "joiner"), copied),
        **{f"{name} eu-west-1": copied for name in ("abroad", "hub", "branch")},
        **dict.fromkeys(("shop", "pilot", "partner"), shared),
    }
    assert "✗" not in said
    assert re.search(r"trusted +ami-\w+ is gone, as another look shows\n", said)
    assert "DeregisterImage is refused" not in said
    assert said.count("as on AWS: new key access works within 5 min; tried again") == 1
    assert "fleet    grants AWSServiceRoleForAutoScaling the use of its key\n" in said
    assert "shop     grants AWSServiceRoleForAutoScaling the use of the hub's key\n" in said
    assert "hub's AMI, by Auto Scaling in shop, pilot: runs\n" in said
    assert re.search(r"^It took \d h \d\d min of virtual time\.$", said, re.MULTILINE)
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 100


def test_what_is_not_as_promised_is_reported() -> None:
    """A launch after the withdrawal, and a missing role: marked, with AWS's reason; status 1."""
    console = Console(file=(out := io.StringIO()), width=100)
    ways = [way for way in WAYS if way.name in {"dev", "test", "pilot"}]
    with World() as world:
        ready = setting.every_way(world, ways)
        world.iam.roles.drop(f"arn:aws:iam::{DEV}:role/AmiCopyRole")
        with world.rules.off(PERMITTED), world.rules.off(SOURCE_KEY):
            status = Play(ready, console).run()
    said = out.getvalue()

    assert status == 1
    assert rows(said) == {
        "dev": "✗ cancelled ✗ wrong ✗ wrong ✓ none ✗",
        "test": "✓ delivered ✓ yes ✓ own ✓ none ✓",
        "pilot": "✓ withdrawn ✗ wrong ✓ hub's ✓ none -",
    }
    assert "✗ pilot, us-east-1: launches: after: launches, and must not" in said
    assert f"✗ dev, us-east-1: ended: AssumeRole was refused: AccessDenied: User: arn:aws:sts::{stage.HUB}" in said
    assert "Some checks failed" in said


@pytest.mark.parametrize("show", ["--all", "--releases"])
def test_targets_of_ones_own_are_refused_beside_a_show_that_has_its_own(
    capsys: pytest.CaptureFixture[str], show: str
) -> None:
    """An option that would have no effect is refused."""
    with pytest.raises(SystemExit) as ended:
        parse([show, "--targets", "5"])

    assert ended.value.code == 2
    assert f"{show} has targets of its own" in capsys.readouterr().err
