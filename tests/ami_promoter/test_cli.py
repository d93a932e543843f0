"""How the command is called, its errors for wrong calls, and the form of its output."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import click
import jsonschema
import pytest
from botocore.loaders import create_loader
from botocore.regions import EndpointResolver

import ami_promoter
from ami_promoter.hub import aws
from ami_promoter.hub.aws import Connection
from ami_promoter.terminal import remembered
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.examples import EXAMPLES
from ami_promoter.terminal.report import Exit
from ami_promoter.verbs import SECTIONS, Verb, root

ROOT = Path(__file__).parents[2]
AMI = "ami-0123456789abcdef0"
WRONG = {
    "sttus": "ami-promoter: No such command 'sttus'. Did you mean 'status'?",
    "targets aply x": "ami-promoter targets: No such command 'aply'. Did you mean 'apply'?",
    f"retry {AMI} --jsno": "ami-promoter retry: No such option '--jsno'. Did you mean '--json'?",
    "status --region us-est-1": (
        "'us-est-1' is not a Region that the AWS SDK knows. Did you mean `us-west-1` or `us-east-1`? "
        "`ami-promoter status"
    ),
    "status --region US": "'US' is not a Region that the AWS SDK knows. Write a Region's name, like us-east-1.",
    "status i-123": "Invalid value for 'AMI': 'i-123' is not an AMI's id, like ami-0123456789abcdef0, or its name.",
    "status ami-123": "'ami-123' is not an AMI's id, like ami-0123456789abcdef0, or its name.",
    "status --table a": "'a' is not a table's name: 3 to 247 letters",
    "admin drain now": "ami-promoter admin drain: Got unexpected extra argument",
    "admin drain --timeout 5": "--timeout has no effect without --wait.",
    "admin drain --wait --timeout 0": "0m is not between 1m and 60d.",
    "admin drain --wait --timeout 2x": "'2x' is not a duration, like 90m, 36h or 7d.",
    f"promote {AMI}": "Missing argument 'VALUE'.",
    f"promote {AMI} dev prod": "Got unexpected extra argument (prod)",
    f"promote {AMI} dev --timeout 5": "--timeout has no effect without --wait.",
    f"wait {AMI} --account x": "'x' is not an account's id, or ACCOUNT/REGION.",
    f"status {AMI} --watch --json": "--watch is for a terminal",
    "status --watch": "--watch needs an AMI.",
    f"status {AMI} --group dev": "--since, --image, --group and --limit choose from the list, without AMI",
    f"status {AMI} --retired": "it goes with neither AMI nor --failed.",
    "targets members --account 111111111111": "--account goes with `targets members accept`.",
    "admin reconcile --unpark x": "'x' is not a record's key",
    "admin reconcile --key arn:aws:kms:us-east-1:123456789012:alias/golden": "is not the ARN of a key.",
    f"retry {AMI} --accept ami-01234567": "--accept needs an account. Write `--account ID --accept ami-01234567`.",
    f"recall {AMI}": "Say why: `--why TEXT` goes into the notices.",
    f"recall {AMI} --lift --why x": "--why has no effect with --lift.",
    "rollback base --to ami-01234567": "Name targets: `--group NAME`, or `--account ID`.",
    "rollback base --account 111111111111 --lift --why x": "--to and --why have no effect with --lift.",
    "admin key-policy target x": "'x' is not a key's ARN, its id, or alias/NAME.",
    "status --limit 0": "'0' is not a number from 1 to 1,000,000.",
    "doctor now": "ami-promoter doctor: Got unexpected extra argument (now)",
    "where --ids": "Name an AMI or a family: `where AMI`, or `where --family NAME`.",
    "where ami-01234567 dev --family base": "Name an AMI or a family: `where AMI`, or `where --family NAME`.",
    "where --family base --use": "--use is about an AMI: it goes with neither --family nor --ids.",
    f"where {AMI} --ids --use": "--use is about an AMI: it goes with neither --family nor --ids.",
    f"where {AMI} --group dev": "--since, --image, --group and --limit choose AMIs",
    "where --family base --limit 1": "--since, --image, --group and --limit choose AMIs",
    "completion tcsh": "'bash', 'zsh', 'fish'",
    f"history {AMI} --image golden": "--image, --group and --limit choose AMIs: leave out the AMI.",
    "history": "Name an AMI, or --account ID; or choose AMIs by --since, --image, --group or --limit.",
}
RENAMED = {
    f"resolve {AMI} dev": "`resolve` is `ami-promoter where AMI TARGET --ids` now.",
    "members accept": "`members` is `ami-promoter targets members` now.",
    "key-policy hub": "`key-policy` is `ami-promoter admin key-policy` now.",
    "reconcile --apply": "`reconcile` is `ami-promoter admin reconcile` now.",
    "drain": "`drain` is `ami-promoter admin drain` now.",
    "pause": "`pause` is `ami-promoter admin pause` now.",
    "resume": "`resume` is `ami-promoter admin resume` now.",
    "clean-up --help": "`clean-up` is `ami-promoter admin clean-up` now.",
}


def verbs(group=root, words=()):
    for name, command in group.commands.items():
        if isinstance(command, Verb):
            yield (*words, name), command
        if isinstance(command, click.Group):
            yield from verbs(command, (*words, name))


def test_the_help_of_a_group_lists_its_commands_as_a_person_meets_them(environment, run):
    """A targets file is checked, compared and applied; the hub is paused before it is drained. No line is cut."""
    of_file, of_admin = run("targets", "--help").out, run("admin", "--help").out
    found = [line.split()[0] for line in of_file.partition("Commands:\n")[2].splitlines()]

    assert found == ["validate", "diff", "apply", "show", "members"]
    assert "admin (pause, resume, drain, reconcile, clean-up, key-policy)" in run("--help").out
    of_keys = run("admin", "key-policy", "--help").out
    assert "..." not in (of_file + of_admin + of_keys).replace("[ARGS]...", "")


def test_the_first_page_of_help_explains_the_ten_verbs_of_every_day_and_names_the_others(environment, run):
    """A new verb must be given its section; the page fits a terminal."""
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(root.commands)

    out = run("--help").out
    daily, *rarely = SECTIONS.values()
    assert len(daily) == 10
    assert tuple(re.findall(r"^  ([a-z][a-z-]+)  ", out, re.MULTILINE)) == daily
    _, _, below = out.partition("Less often:")
    assert set(re.findall(r"[a-z]+(?:-[a-z]+)*", below)) >= {*(one for names in rarely for one in names), "reconcile"}
    assert max(map(len, out.splitlines())) <= 80
    assert len(out.splitlines()) <= 30


@pytest.mark.parametrize("line", RENAMED)
def test_an_old_name_says_the_new_one(line, environment, run):
    """It does nothing else: exit status 2, without a look at what stands behind it."""
    said = run(*line.split(), exits=Exit.USAGE)

    assert said.err == f"ami-promoter: {RENAMED[line]} `ami-promoter --help` shows the usage.\n"


@pytest.fixture
def region(environment):
    """The Region is known, and AWS cannot be reached."""
    environment.setenv("AWS_REGION", "us-east-1")
    environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_with_a_call_is_said_with_its_cure(line, region, run):
    """Exit status 2, before any network call."""
    said = run(*line.split(), exits=Exit.USAGE).err
    assert WRONG[line] in said
    assert "--help` shows the usage." in said


def reported(printed, status):
    """The faults that a program reads, which also says how the command ended."""
    jsonschema.validate(printed.data, js.FAILURE)
    assert printed.data["exit_status"] == status
    return printed.data["faults"]


@pytest.mark.parametrize("line", ["status --json --region us-est-1", "sttus --json", "status --verson --json"])
def test_a_wrong_call_is_notified_to_a_program_too(line, environment, run):
    """`--json` prints the fault, as for every verb that fails."""
    (fault,) = reported(run(*line.split(), exits=Exit.USAGE), 2)
    assert fault["code"] == "usage"


@pytest.mark.parametrize("line", ["--help", "targets validate targets.yaml --json", "sttus --json", "status --json"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_cannot_be_written_is_an_error_in_words(line, unbuffered, environment, file):
    """A full disk: a line on standard error, no traceback, and the status that lets a script run it again.

    Also where something else went wrong before: an unknown verb, or an endpoint that is no address.
    """
    file("groups: {dev: ['111111111111']}")
    environment.setenv("AWS_REGION", "us-east-1")
    environment.setenv("AWS_ENDPOINT_URL", "localhost")
    environment.setenv("PYTHONUNBUFFERED", unbuffered)
    command = [sys.executable, "-m", "ami_promoter", *line.split()]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        silent = subprocess.run(command, stdout=full, stderr=full, check=False)

    assert (done.returncode, silent.returncode) == (Exit.AWS, Exit.AWS)
    no_space = "No space left on device. What the command has done in AWS is done."
    assert " ".join(done.stderr.split()).endswith(f"ami-promoter: output: {no_space}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ["--help", "targets validate targets.yaml", "targets validate targets.yaml --json"])
def test_an_output_that_nobody_reads_to_its_end_is_not_said_to_have_changed_nothing(line, environment, file):
    """As with ``| head -1``: no words, and the status of an output that could not be written, not that of a fault."""
    file("groups: {dev: ['111111111111']}")
    environment.setenv("AWS_REGION", "us-east-1")
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as pipe:
        command = [sys.executable, "-m", "ami_promoter", *line.split()]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (Exit.AWS, "")


def test_ctrl_c_before_the_command_has_begun_ends_it_without_a_traceback(environment, tmp_path):
    """Python reads the command's code for a part of a second; a module that raises stands for the key."""
    (tmp_path / "rich.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    environment.setenv("PYTHONPATH", str(tmp_path))

    done = subprocess.run([sys.executable, "-m", "ami_promoter", "status"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (Exit.INTERRUPTED, "")
    assert done.stderr == "ami-promoter: stopped: nothing was changed.\n"


def test_an_endpoint_that_is_no_address_is_said_in_words(region, environment, run):
    """The SDK raises an error of no kind of its own for it."""
    environment.setenv("AWS_ENDPOINT_URL", "localhost")

    assert "Invalid endpoint: localhost. Correct AWS_ENDPOINT_URL" in run("status", exits=Exit.AWS).errors


def test_an_answer_that_is_not_awss_is_said_in_words(region, environment, refusing, run):
    """As of a proxy that shows a page instead: the SDK raises an error of no kind of its own for it."""
    environment.setenv("AWS_ENDPOINT_URL", refusing(b"<!DOCTYPE html><html><head><meta></head></html>"))

    said = run("status", exits=Exit.AWS).errors

    assert "us-east-1: asking STS who is calling failed: Unable to parse response" in said
    assert said.endswith("Check the network, the Region, and AWS_ENDPOINT_URL if it is set.")


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("OptInRequired", "AWS has not activated this account, or its Region, yet: wait, or ask AWS Support."),
        ("ExpiredToken", "The credentials have expired or are no longer valid: sign in again."),
        ("AnotherCode", "If it lasts, look up the code above."),
    ],
)
def test_a_refusal_says_what_helps_against_it(region, environment, refusing, run, code, cure):
    """Some that pass by themselves need more than a minute, and a person."""
    page = f"<ErrorResponse><Error><Code>{code}</Code><Message>No.</Message></Error></ErrorResponse>"
    environment.setenv("AWS_ENDPOINT_URL", refusing(page.encode()))

    said = run("status", exits=Exit.AWS).errors

    assert f"({code})" in said
    assert said.endswith(cure)


def test_a_session_of_a_sign_in_that_is_over_says_to_sign_in(environment, tmp_path, run):
    """The profile is one of IAM Identity Center, and nobody has signed in."""
    config = tmp_path / "config"
    config.write_text(
        "[default]\nregion = us-east-1\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = R\n"
        "[sso-session s]\nsso_start_url = https://example.org\nsso_region = us-east-1\n",
        encoding="utf-8",
    )
    environment.setenv("AWS_CONFIG_FILE", str(config))
    environment.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)

    said = run("status", exits=Exit.AWS).errors

    assert said.endswith("Token for s does not exist. Set AWS_PROFILE, or sign in; see `aws sts get-caller-identity`.")


def test_what_aws_refuses_is_notified_to_a_program_too(aws, run):
    """Exit status 3: place, cause and cure as separate members."""
    (fault,) = reported(run("status", "--json", exits=Exit.AWS), 3)
    assert fault["code"] == "ResourceNotFoundException"
    assert fault["cure"].startswith("There is no such table")


def test_an_unknown_ami_is_notified_to_a_program_too(client, run):
    """Exit status 1."""
    (fault,) = reported(run("status", AMI, "--json", exits=Exit.FAULT), 1)
    assert fault["code"] == "unknown-ami"


@pytest.mark.parametrize(
    "words", [["status"], ["admin", "pause"], ["targets", "diff", "x"], ["admin", "key-policy", "hub"]]
)
@pytest.mark.parametrize("option", [True, False])
@pytest.mark.parametrize("region", ["", "us-east-1"])
def test_a_profile_that_is_not_there_is_a_sentence(environment, client, file, run, words, option, region):
    """By option or variable, for every verb, with or without a Region variable: no traceback, and a cure."""
    aws.partitions.cache_clear()
    file("groups: {}", "x")
    if not option:
        environment.setenv("AWS_PROFILE", "nobody")
    if region:
        environment.setenv("AWS_REGION", region)

    assert run(*words, *(["--profile", "nobody"] if option else []), exits=Exit.AWS).err == (
        "ami-promoter: AWS configuration: reading it failed: The config profile (nobody) could not be found. "
        "See `aws configure list-profiles`, and --profile or AWS_PROFILE.\n"
    )


@pytest.mark.parametrize("region", ["", "us-east-1"])
def test_a_broken_configuration_file_is_a_sentence(environment, tmp_path, run, region):
    """The message names the file."""
    aws.partitions.cache_clear()
    if region:
        environment.setenv("AWS_REGION", region)
    config = tmp_path / "config"
    config.write_text("[profile x\nregion", encoding="utf-8")
    environment.setenv("AWS_CONFIG_FILE", str(config))

    said = run("status", exits=Exit.AWS).err
    assert str(config) in said
    assert "Correct that file" in said


def test_without_a_region_anywhere_it_says_how_to_give_one(environment, run):
    """Neither option nor environment nor profile has one: a fault of the call."""
    assert "not by --region, AWS_REGION or a profile. Add --region REGION." in run("status", exits=Exit.USAGE).err


def test_a_misspelt_region_of_the_environment_is_refused_as_well(environment, run):
    """The message says where it comes from."""
    environment.setenv("AWS_REGION", "us-est-1")

    said = run("status", exits=Exit.USAGE)

    assert "The Region of AWS_REGION, AWS_DEFAULT_REGION or the profile: 'us-est-1'" in said.err


def test_the_version(run):
    """The version of the installed package."""
    assert run("--version").out == f"ami-promoter, version {version('ami-promoter')}\n"


def test_the_version_is_not_one_that_people_upgrade_from():
    """The changelog says what to do when they come from 0.1.0; so this is a later one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    released = re.findall(r"^## \[([0-9.]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert released
    assert project["version"] not in released


def test_wrong_usage_names_the_program_once(run):
    """And what may be written is a list in a sentence."""
    assert run("completion", exits=Exit.USAGE).errors == (
        "ami-promoter completion: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish. "
        "`ami-promoter completion --help` shows the usage."
    )


@pytest.mark.parametrize("words", [words for words, _ in verbs()], ids=" ".join)
def test_each_verb_explains_itself(words, run):
    """Usage, options and each exit status, readable at 80 columns, in paragraphs of a breath or two."""
    said = run(*words, "--help").out
    assert said.startswith(f"Usage: ami-promoter {' '.join(words)}")
    assert "--json" in said
    assert "Exit status:\n  0" in said
    assert "x>=" not in said
    assert "<=x" not in said
    assert [text for text in said.partition("Options:")[0].split("\n\n") if len(text.split()) > 60] == []
    assert [line for line in said.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes(shell, run):
    """The script that the shell sources calls the program itself."""
    assert "_AMI_PROMOTER_COMPLETE" in run("completion", shell).out


@pytest.mark.parametrize(
    ("line", "at", "offered"),
    [
        ("ami-promoter sta", 1, ["plain,status"]),
        ("ami-promoter status --region us-e", 3, ["plain,us-east-1", "plain,us-east-2"]),
        ("ami-promoter promote ami-0 d", 3, ["plain,dev", "plain,default"]),
        ("ami-promoter where ami-0 2", 3, ["plain,222222222222"]),
        ("ami-promoter history --account ", 3, ["plain,222222222222", "plain,333333333333"]),
        ("ami-promoter status --group p", 3, ["plain,prod"]),
        ("ami-promoter --profile other status --group p", 5, []),
    ],
)
def test_a_shell_is_offered_verbs_regions_and_what_the_applied_file_has(environment, line, at, offered):
    """The file as a command last read it with the same profile: nobody is asked."""
    remembered.keep(None, ["prod", "default", "dev"], {"333333333333": "", "222222222222": "dev"})

    assert sorted(complete(line, at)) == sorted(offered)


def test_the_profile_may_stand_in_the_person_s_file(environment, tmp_path):
    """The command keeps and offers by the same one."""
    environment.setenv("AMI_PROMOTER_CONFIG", str(tmp_path / "mine.toml"))
    environment.delenv("AWS_ACCESS_KEY_ID")
    (tmp_path / "mine.toml").write_text('profile = "hub"\n')
    remembered.keep("hub", ["dev"], {})
    remembered.keep(None, ["other"], {})

    assert complete("ami-promoter status --group ", 3) == ["plain,dev"]
    assert complete("ami-promoter --profile default status --group ", 5) == ["plain,other"]
    (tmp_path / "mine.toml").write_text("???")
    assert complete("ami-promoter status --group ", 3) == ["plain,other"]


@pytest.mark.parametrize("kept", ["[]", '{"groups": 5, "accounts": {}}', '{"groups": [], "accounts": []}', "7"])
def test_a_remembered_file_of_another_shape_offers_nothing(environment, tmp_path, kept):
    """It is no fault that a shell could show."""
    environment.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "ami-promoter").mkdir()
    (tmp_path / "ami-promoter" / "targets.json").write_text(f'{{"default": {kept}}}')

    assert remembered.words(None) == {"groups": {}, "accounts": {}}


def test_a_remembered_file_that_cannot_be_read_offers_nothing(environment, tmp_path):
    """Nor does one that cannot be written stop a command."""
    environment.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "ami-promoter").write_text("a file in its place")

    remembered.keep(None, ["dev"], {})

    assert complete("ami-promoter status --group d", 3) == []


def test_the_regions_are_those_that_the_sdk_knows(tmp_path):
    """They are read from its file, without it; if the file is elsewhere or has another form, the SDK is asked."""
    resolver = EndpointResolver(create_loader().load_data("endpoints"))
    partitions = resolver.get_available_partitions()
    known = {name for one in partitions for name in resolver.get_available_endpoints("ec2", one)}
    (tmp_path / "other.json").write_text('{"partitions": [{}]}', encoding="utf-8")

    assert set(aws.regions()) == known
    for file in ("none.json", "other.json"):
        assert set().union(*aws.partitions_in(tmp_path / file)) == known


@pytest.mark.parametrize("words", ["--help", "status --help", "sta", "status --region eu", "promote ami-0 d"])
def test_help_and_completion_wait_for_no_library(environment, words):
    """Neither boto3, botocore nor YAML is imported: a shell asks at each key."""
    if "--help" in words:
        asked = {}
    else:
        given = f"ami-promoter {words}"
        asked = {"_AMI_PROMOTER_COMPLETE": "bash_complete", "COMP_WORDS": given, "COMP_CWORD": str(len(words.split()))}
    done = ran(f"main({words.split()!r})", **asked)

    assert done.stderr == "[]"


def complete(line, at):
    """Ask for completions, as bash does."""
    return ran("main()", _AMI_PROMOTER_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(at)).stdout.split()


def ran(call, **variables):
    """Run this in a process of its own; at its end it says on standard error which heavy libraries it has imported."""
    heavy = "{'boto3', 'botocore', 'yaml', 'jsonschema'} & set(sys.modules)"
    script = f"""
import atexit, sys
sys.argv[0] = "ami-promoter"
atexit.register(lambda: print(sorted({heavy}), end="", file=sys.stderr))
from ami_promoter.cli import main
{call}
"""
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_verb_says_what_it_prints():
    """A schema in which every member has a description."""
    for words, verb in verbs():
        jsonschema.Draft202012Validator.check_schema(verb.schema)
        assert [name for name, one in verb.schema["properties"].items() if not one.get("description")] == [], words


def test_colors_are_left_out_where_nobody_wants_them(environment, client):
    """NO_COLOR wins over a setting that forces colors."""
    forced = {**os.environ, "FORCE_COLOR": "1", "AWS_REGION": "us-east-1"}
    script = "from ami_promoter.terminal.output import console, state; console().print(state('failed'))"

    def run(**more):
        done = subprocess.run([sys.executable, "-c", script], env={**forced, **more}, capture_output=True, check=True)
        return done.stdout.decode()

    colored, plain = run(), run(NO_COLOR="1")

    assert re.search("\x1b.*31m", colored)
    assert "31m" not in plain


def test_the_time_is_that_of_awss_last_answer(aws):
    """Times are right despite a wrong clock of the machine; an answer without a date changes nothing."""
    connection = Connection("us-east-1")

    connection._handled(SimpleNamespace(headers={"Date": "Mon, 05 Jan 2026 09:00:00 GMT"}))
    connection._handled(SimpleNamespace(headers={}))
    connection._handled(SimpleNamespace(headers={"Date": "soon"}))

    assert connection.now() == pytest.approx(1767603600, abs=5)


def test_no_item_gets_the_machines_time():
    """The one clock is AWS's, by ``Connection.now``; elsewhere real time is only to wait by, or to tell runs apart."""
    package = Path(ami_promoter.__file__).parent
    calls = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.time", "datetime.now")
    }
    assert calls == {"hub/aws.py"}


def test_the_help_of_an_option_says_what_it_takes_and_whether_it_may_be_repeated():
    """In words of a person, not of the parser."""
    for words, command in verbs():
        for one in command.params:
            if isinstance(one, click.Option):
                assert "RANGE" not in one.make_metavar(click.Context(command)), (words, one.name)
                assert ("may be repeated" in one.help) is one.multiple, (words, one.name)


def test_the_help_of_each_verb_ends_with_two_calls_that_it_takes(environment, run):
    """What is shown can be run."""
    every = {**dict(verbs()), ("completion",): root.commands["completion"]}
    assert {" ".join(words) for words in every} == set(EXAMPLES)
    for words, command in every.items():
        *_, head, first, second = run(*words, "--help").out.splitlines()
        assert head == "Examples:"
        for said in (first, second):
            own = shlex.split(said)[1 + len(words) :]
            assert command.make_context(" ".join(words), own).command is command
