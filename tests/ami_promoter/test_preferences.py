"""Options before or after the verb, and what a person sets once for all commands."""

import errno
from pathlib import Path

import click
import pytest

from ami_promoter.cli import main
from ami_promoter.promotions import waiting
from ami_promoter.terminal import remembered
from ami_promoter.terminal.report import Exit, Report
from ami_promoter.verbs import before_the_verb

AMI = "ami-0123456789abcdef0"


@pytest.fixture
def asked(environment, monkeypatch, tmp_path):
    """Run ``wait`` with these words; return (Region, profile, table, tag key) that it was called with."""
    called = []
    (tmp_path / "aws").write_text("[profile hub]\n[profile mine]\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))

    def report(caller, _ami, **_):
        called.append((caller.region, caller.profile, caller.table, caller.tag_key))
        return Report()

    monkeypatch.setattr(waiting, "wait", report)

    def run(*words):
        assert main(words) == Exit.OK
        return called.pop()

    return run


@pytest.fixture
def configured(environment, tmp_path):
    """Write the person's file."""

    def write(text):
        (tmp_path / "ami-promoter.toml").write_text(text, encoding="utf-8")
        environment.setenv("AMI_PROMOTER_CONFIG", str(tmp_path / "ami-promoter.toml"))

    return write


OPTIONS = ("--region", "eu-west-1", "--profile", "hub", "--tag-key", "golden")


@pytest.mark.parametrize(
    "words",
    [
        ("wait", AMI, *OPTIONS),
        (*OPTIONS, "wait", AMI),
        (*OPTIONS[:2], "wait", *OPTIONS[2:], AMI),
        ("--region", "us-east-1", "wait", *OPTIONS, AMI),
    ],
    ids=["after", "before", "both", "the verb's own"],
)
def test_options_stand_before_or_after_the_verb(asked, words):
    """After it counts, if it is on both sides."""
    assert asked(*words) == ("eu-west-1", "hub", None, "golden")


def test_they_stand_before_a_verb_of_a_group(environment, run, file):
    """On each side of the group's name."""
    name = file('groups: {default: ["222222222222"]}')
    for words in (("--region", "eu-west-1", "targets"), ("targets", "--region", "eu-west-1")):
        assert "hub's Region eu-west-1." in run(*words, "validate", name).out


def test_a_file_has_what_a_person_does_not_want_to_write_each_time(asked, configured):
    """Options go before it."""
    configured('region = "eu-west-1"\nprofile = "hub"\ntable = "other"\ntag_key = "golden"\n')

    assert asked("wait", AMI) == ("eu-west-1", None, "other", "golden")
    assert asked("--region", "us-east-1", "wait", AMI, "--tag-key", "x")[0::3] == ("us-east-1", "x")


@pytest.mark.parametrize("variable", ["", "XDG_CONFIG_HOME"])
def test_the_file_is_found_where_other_programs_have_theirs(asked, environment, tmp_path, variable):
    """In `~/.config`, or in the directory that the person has chosen for all."""
    place = tmp_path / ("chosen" if variable else ".config")
    place.mkdir()
    (place / "ami-promoter.toml").write_text('region = "eu-west-1"\n', encoding="utf-8")
    for name in ("AMI_PROMOTER_CONFIG", "XDG_CONFIG_HOME"):
        environment.delenv(name, raising=False)
    environment.setenv("HOME", str(tmp_path))
    if variable:
        environment.setenv(variable, str(place))

    assert asked("wait", AMI)[0] == "eu-west-1"


def test_credentials_and_regions_of_the_environment_go_before_the_file(asked, configured, environment):
    """A profile of the file would replace them."""
    configured('region = "eu-west-1"\nprofile = "hub"\n')
    environment.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert asked("wait", AMI)[:2] == ("us-west-2", None)

    environment.delenv("AWS_ACCESS_KEY_ID")
    assert asked("wait", AMI)[:2] == ("us-west-2", "hub")
    environment.setenv("AWS_PROFILE", "mine")
    assert asked("wait", AMI, "--region", "us-east-1")[1] is None


HUBS = 'region = "eu-west-1"\nprofile = "hub"\ntable = "other"\nhub_account = "111111111111"\ntag_key = "golden"\n'


@pytest.mark.parametrize("words", [("--profile", "mine", "wait", AMI), ("wait", AMI, "--profile", "mine")])
def test_the_file_says_nothing_about_the_hub_of_another_profile(asked, configured, environment, tmp_path, words):
    """Its Region may have another hub, where the command would do something else than was meant."""
    configured(HUBS)
    (tmp_path / "aws").write_text("[profile hub]\n[profile mine]\nregion = us-west-2\n", encoding="utf-8")
    environment.delenv("AWS_ACCESS_KEY_ID")

    assert asked(*words) == ("us-west-2", "mine", None, "golden")
    assert asked("wait", AMI, "--profile", "hub") == ("eu-west-1", "hub", "other", "golden")


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_a_profile_of_the_environment_goes_before_the_file_s(asked, configured, environment, variable):
    """With its Region, too; the SDK reads both variables."""
    configured(HUBS)
    environment.setenv("AWS_REGION", "us-east-1")
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.setenv(variable, "mine")
    assert asked("wait", AMI) == ("us-east-1", None, None, "golden")

    environment.setenv(variable, "hub")
    assert asked("wait", AMI) == ("us-east-1", None, "other", "golden")


def test_a_variable_goes_before_the_file(asked, configured, environment):
    """For a pipeline."""
    configured('region = "eu-west-1"\ntag_key = "golden"\n')
    environment.setenv("AMI_PROMOTER_TAG_KEY", "mine")
    environment.setenv("AMI_PROMOTER_TABLE", "other")

    assert asked("wait", AMI) == ("eu-west-1", None, "other", "mine")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("region = eu", "it cannot be read"),
        ("regoin = 'x'", "`regoin` is no setting; it can have profile, region, table, hub_account, tag_key."),
        ("table = 1", '`table = "TEXT"`'),
        ("region = 'eu-wst-1'", "'eu-wst-1' is not a Region that the AWS SDK knows"),
    ],
)
def test_a_fault_in_the_file_names_it(configured, run, text, what):
    """Exit status 2, before any call."""
    configured(text)

    said = run("wait", AMI, exits=Exit.USAGE).errors
    assert "ami-promoter.toml: " in said
    assert what in said


@pytest.fixture
def refused(monkeypatch, tmp_path):
    """Refuse to read what is in this directory, also to root; return the directory."""
    read = Path.read_text

    def read_text(self, **given):
        if self.is_relative_to(tmp_path / "of another user"):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read(self, **given)

    monkeypatch.setattr(Path, "read_text", read_text)
    return tmp_path / "of another user"


@pytest.mark.parametrize("home", ["~nobody-has-this-name", "file", "of another user"])
def test_without_a_home_directory_there_is_no_file(asked, environment, refused, tmp_path, home):
    """As in a container, or after `sudo -u`; completion remembers nothing then."""
    (tmp_path / "file").touch()
    environment.delenv("AMI_PROMOTER_CONFIG")
    environment.setenv("AWS_REGION", "us-east-1")
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        environment.setenv(name, home if home.startswith("~") else str(tmp_path / home))

    assert asked("wait", AMI)[0] == "us-east-1"
    remembered.keep(None, ["dev"], {})
    assert remembered.words(None) == {"groups": {}, "accounts": {}}


def test_the_file_that_a_variable_names_must_be_one(environment, tmp_path, run):
    """Who names it relies on it."""
    (tmp_path / "file").touch()
    environment.setenv("AMI_PROMOTER_CONFIG", str(tmp_path / "file" / "x"))

    assert "it cannot be read" in run("wait", AMI, exits=Exit.USAGE).err


def test_help_needs_no_file(configured, run):
    """A person who broke it can read how to write it."""
    configured("???")

    run("wait", "--help")


def test_a_group_of_verbs_takes_them_too():
    """Also one that is added later."""
    outer, inner = click.Group("outer"), click.Group("inner")
    outer.add_command(inner)
    before_the_verb(outer)

    assert {one.name for one in inner.params} == {"region", "profile", "tag_key"}
