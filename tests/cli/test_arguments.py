"""How the command is called, and what it says when it is called wrongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_promoter.arguments import COMMANDS, Call, help_text, parse
from ami_promoter.main import main

WRONG = {
    "": [
        (
            "ami-promoter: the command is missing. "
            "Write one of `targets validate`, `targets diff`, `targets apply`, `members accept`, `members`, `status`, "
            "`promote`, `cancel`, `retry`, `pause`, `resume`, `drain`, `reconcile`, "
            "`key-policy target`, `key-policy hub`."
        ),
    ],
    "target aply x --regon y --tabel": [
        "ami-promoter: there is no command `target aply`. Did you mean `targets apply`?",
        "--regon: there is no such option here. Did you mean `--region`?",
        "--tabel: there is no such option here. Did you mean `--table`?",
    ],
    "targets apply --region US --table a --dry-run=3 --json --json x y --foo": [
        "--region: `US` is not what it takes. Write a Region's name, like us-east-1.",
        "--table: `a` is not what it takes. Write a table's name: 3 to 247 letters, digits, `_`, `.` or `-`.",
        "--dry-run: it takes no value. Write `--dry-run` alone.",
        "--json: it is given twice. Give it once.",
        "--foo: there is no such option here. Known here: --dry-run, --help, --hub-account, --json, --region, --table.",
        "targets apply: `y` is too much. Write `ami-promoter targets apply FILE [options]`.",
    ],
    "targets diff --hub-account 12 --region --json": [
        "--hub-account: `12` is not what it takes. Write 12 digits.",
        "--region: its value is missing. Write `--region REGION`: a Region's name, like us-east-1.",
        "targets diff: FILE is missing. Write `ami-promoter targets diff FILE [options]`.",
    ],
    "status i-123 --dry-run": [
        "--dry-run: there is no such option here. Known here: --help, --json, --region, --table.",
        "status: `i-123` is no AMI. Write an AMI's id, like ami-0123456789abcdef0.",
    ],
    "drain now --timeout 0": [
        "--timeout: `0` is not what it takes. Write minutes, 1 to 99999.",
        "drain: `now` is too much. Write `ami-promoter drain [options]`.",
    ],
    "promote ami-0123456789abcdef0": [
        "promote: VALUE is missing. Write `ami-promoter promote AMI VALUE [options]`.",
    ],
    "promote x dev more": [
        "promote: `x` is no AMI. Write an AMI's id, like ami-0123456789abcdef0.",
        "promote: `more` is too much. Write `ami-promoter promote AMI VALUE [options]`.",
    ],
    "reconcile --unpark x --since 0": [
        "--unpark: `x` is not what it takes. Write a record's key, like delivery#0123456789abcdef0123.",
        "--since: `0` is not what it takes. Write 1 to 9999.",
    ],
    "key-policy target x": [
        "key-policy target: `x` is no KEY. Write a key's ARN, its id, or alias/NAME.",
    ],
}


@pytest.mark.parametrize("line", WRONG)
def test_everything_wrong_with_a_call_is_said_at_once(line, capsys):
    """One try shows all mistakes, each with its cure, and the exit status is 2."""
    status = main(line.split())

    said = capsys.readouterr().err.splitlines()
    assert said[:-2] == WRONG[line]
    count = "1 fault" if len(WRONG[line]) == 1 else f"{len(WRONG[line])} faults"
    assert said[-2:] == [f"{count}; nothing was changed.", "`ami-promoter --help` shows how it is called."]
    assert status == 2


def test_options_stand_anywhere_with_or_without_an_equals_sign():
    """`--region X`, `--region=X`, before or after the file: all the same."""
    one = parse(["targets", "apply", "f.yaml", "--region", "us-east-1", "--dry-run"])
    two = parse(["--region=us-east-1", "targets", "--dry-run", "apply", "f.yaml"])

    assert isinstance(one, Call)
    assert (one.operand, one.options) == ("f.yaml", {"--region": "us-east-1", "--dry-run": ""})
    assert (two.operand, dict(two.options)) == (one.operand, dict(one.options))


def test_a_file_may_have_any_name_after_two_dashes():
    """A name that looks like an option is a name behind `--`."""
    call = parse(["targets", "validate", "--", "--odd.yaml"])

    assert isinstance(call, Call)
    assert call.operand == "--odd.yaml"


@pytest.mark.parametrize("argv", [["--help"], ["help"], ["-h"]])
def test_help_names_every_command_and_exit_status(argv, capsys):
    """Asking for help is no mistake."""
    assert main(argv) == 0

    said = capsys.readouterr().out
    assert all(" ".join(command.words) in said for command in COMMANDS)
    assert "exit status:\n  0  done, or nothing to do" in said


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.words))
def test_each_command_explains_its_options(command):
    """A command's help shows its usage and every option it takes."""
    text = parse([*command.words, "--help"])

    assert text == help_text(command)
    assert text.startswith(f"usage: {command.usage}")
    assert all(f"  {option.name}" in text for option in command.options)


@given(st.lists(st.one_of(st.text(), st.sampled_from(["targets", "apply", "status", "--region", "--json", "--", "x"]))))
def test_no_arguments_make_it_fail(argv):
    """Whatever is typed is a call, a help text or a list of faults."""
    found = parse(argv)

    assert isinstance(found, (Call, str)) or found


def test_without_a_region_anywhere_it_says_how_to_give_one(environment, capsys):
    """Neither option nor environment nor profile: a fault of the call."""
    assert main(["status"]) == 2

    assert capsys.readouterr().err.splitlines()[0] == (
        "--region: neither it nor AWS_REGION nor a profile says the hub's Region. Write `--region REGION`."
    )
