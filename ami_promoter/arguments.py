"""The command line's words: which commands and options there are, and everything that is wrong with a call at once.

Written out rather than left to argparse, which stops at the first fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from chalicelib.core.faults import Fault


@dataclass(frozen=True, slots=True)
class Option:
    """An option; without ``takes`` it is a flag. ``pattern`` is what its value must match, ``wanted`` says so."""

    name: str
    takes: str
    help: str
    pattern: str = ".+"
    wanted: str = "a value"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of one or two words, with at most two operands."""

    words: tuple[str, ...]
    help: str
    operand: str = ""
    operand_needed: bool = True
    operand_pattern: str = "(?s).+"
    operand_wanted: str = "a file"
    second: str = ""
    second_pattern: str = "(?s).*"
    second_wanted: str = "a value"
    options: tuple[Option, ...] = ()

    @property
    def usage(self) -> str:
        """How it is called."""
        operand = self.operand if self.operand_needed or not self.operand else f"[{self.operand}]"
        return " ".join(word for word in ("ami-promoter", *self.words, operand, self.second, "[options]") if word)


@dataclass(frozen=True, slots=True)
class Call:
    """A call without a fault. Flags have the value ``""``."""

    command: Command
    operand: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    second: str = ""


REGION = Option(
    "--region",
    "REGION",
    "the hub's Region (otherwise AWS_REGION, AWS_DEFAULT_REGION, or the profile's)",
    "[a-z]{2,}(-[a-z]+)+-[0-9]+",
    "a Region's name, like us-east-1",
)
TABLE = Option(
    "--table",
    "NAME",
    "the service's table of records (otherwise ami-promoter-REGION); the others are NAME-config and NAME-members",
    "[A-Za-z0-9_.-]{3,247}",
    "a table's name: 3 to 247 letters, digits, `_`, `.` or `-`",
)
HUB = Option(
    "--hub-account", "ID", "the hub's account; credentials of another one are refused", "[0-9]{12}", "12 digits"
)
DRY_RUN = Option("--dry-run", "", "show what would change, and change nothing")
JSON = Option("--json", "", "write JSON for a program")
WHY = Option("--why", "TEXT", "a sentence for those who find it so", "(?s).{1,500}", "a text of at most 500 characters")
DELETE_COPIES = Option("--delete-copies", "", "delete copies under way rather than let them end")
WAIT = Option("--wait", "", "return only when nothing is under way and no share is open")
TIMEOUT = Option("--timeout", "MINUTES", "with --wait: give up after so long", "[1-9][0-9]{0,4}", "minutes, 1 to 99999")
ROLE = Option(
    "--role-name",
    "NAME",
    "the role's name in the target (otherwise AmiCopyRole)",
    "[A-Za-z0-9+=,.@_-]{1,64}",
    "a role's name, without a path",
)
APPLY = Option("--apply", "", "put right what can be (otherwise only show it)")
UNPARK = Option(
    "--unpark",
    "KEY",
    "let one parked record go on, and do nothing else",
    "(promotion|delivery|quota|resource|inventory)#.+",
    "a record's key, like delivery#0123456789abcdef0123",
)
KEYS = Option(
    "--key",
    "ARN,ARN",
    "look at these keys of the hub, too",
    "arn:[a-z0-9-]+:kms:.+",
    "ARNs of keys, with commas between",
)
SINCE = Option(
    "--since", "HOURS", "how far back to ask CloudTrail who shared what (otherwise 48)", "[1-9][0-9]{0,3}", "1 to 9999"
)
HUB_ONLY = Option("--hub-only", "", "do not look into the targets")
PATIENCE = Option(
    "--timeout",
    "MINUTES",
    "go on when no target has answered for so long (otherwise 5)",
    "[1-9][0-9]{0,2}",
    "1 to 999",
)
TAG = Option(
    "--tag-key",
    "KEY",
    "the trigger's tag key, if the stack says another than `promote`",
    "(?!aws:).{1,127}",
    "a tag's key",
)
ACCOUNT = Option("--account", "ID", "only this account", "[0-9]{12}", "12 digits")
ACCEPT = Option(
    "--accept",
    "IMAGE",
    "with --account: take this AMI there, which you have compared, for the delivery's own (fault image-unproven)",
    "ami-[0-9a-f]{8,17}",
    "an AMI's id, like ami-0123456789abcdef0",
)
HELP = Option("--help", "", "show this")

AMI: Mapping[str, Any] = {
    "operand": "AMI",
    "operand_pattern": "ami-[0-9a-f]{8,17}",
    "operand_wanted": "an AMI's id, like ami-0123456789abcdef0",
}

KEY: Mapping[str, Any] = {
    "operand": "KEY",
    "operand_needed": False,
    "operand_pattern": "(arn:[a-z0-9-]+:kms:.+|alias/[A-Za-z0-9/_-]+|[a-z0-9-]{20,40})",
    "operand_wanted": "a key's ARN, its id, or alias/NAME",
}

COMMANDS = (
    Command(
        ("targets", "validate"),
        "check a targets file, without asking AWS",
        "FILE",
        options=(REGION, HUB, JSON, HELP),
    ),
    Command(
        ("targets", "diff"),
        "show what applying the file would change",
        "FILE",
        options=(REGION, TABLE, HUB, JSON, HELP),
    ),
    Command(
        ("targets", "apply"),
        "check the file, show what changes, and bring it into force",
        "FILE",
        options=(REGION, TABLE, HUB, DRY_RUN, JSON, HELP),
    ),
    Command(
        ("members", "accept"),
        "let accounts go that left a group at once, more than may without a person",
        options=(REGION, TABLE, HUB, ACCOUNT, JSON, HELP),
    ),
    Command(
        ("members",),
        "show which accounts OUs bring into groups, who left, and what cannot be read",
        options=(REGION, TABLE, HUB, JSON, HELP),
    ),
    Command(
        ("status",),
        "list the promotions, or show one AMI's deliveries",
        operand_needed=False,
        options=(REGION, TABLE, JSON, HELP),
        **AMI,
    ),
    Command(
        ("promote",),
        "tag an AMI, so that it is promoted to what VALUE names",
        second="VALUE",
        second_pattern="(?s).{0,256}",
        second_wanted="group names and account ids, at most 256 characters; '' for the group `default`",
        options=(REGION, TABLE, HUB, TAG, JSON, HELP),
        **AMI,
    ),
    Command(
        ("cancel",),
        "remove an AMI's tag: what runs is cancelled, what was delivered stays",
        options=(REGION, TABLE, HUB, TAG, JSON, HELP),
        **AMI,
    ),
    Command(
        ("retry",),
        "try an AMI's failed deliveries again, and let what is parked go on",
        options=(REGION, TABLE, HUB, ACCOUNT, ACCEPT, JSON, HELP),
        **AMI,
    ),
    Command(
        ("pause",),
        "begin nothing new; what runs goes on to its end",
        options=(REGION, TABLE, HUB, WHY, JSON, HELP),
    ),
    Command(("resume",), "lift the pause", options=(REGION, TABLE, HUB, JSON, HELP)),
    Command(
        ("drain",),
        "pause, bring what runs to its end, and close every share",
        options=(REGION, TABLE, HUB, DELETE_COPIES, WAIT, TIMEOUT, JSON, HELP),
    ),
    Command(
        ("reconcile",),
        "compare AWS with the records, and put right what differs",
        options=(REGION, TABLE, HUB, APPLY, KEYS, SINCE, HUB_ONLY, PATIENCE, UNPARK, JSON, HELP),
    ),
    Command(
        ("key-policy", "target"),
        "print what a target's own key must allow, or check a key with the target's credentials",
        options=(REGION, ROLE, JSON, HELP),
        **KEY,
    ),
    Command(
        ("key-policy", "hub"),
        "print what a key of the hub must allow, or check a key with the hub's credentials",
        options=(REGION, JSON, HELP),
        **KEY,
    ),
)

EXITS = """exit status:
  0  done, or nothing to do
  1  faults in what was given: the file, or an AMI that is not known
  2  faults in the call itself
  3  AWS refused, or could not be reached; nothing is half done
  4  drain: something is still under way, or a share is open
     reconcile: something is not in order and not put right yet, or could not be looked at"""


def parse(argv: Sequence[str]) -> Call | str | tuple[Fault, ...]:
    """Read the arguments (without the program's name): a call, a help text that was asked for, or every fault."""
    words, options = _split(argv)
    command = next((command for command in COMMANDS if tuple(words[: len(command.words)]) == command.words), None)
    if any(option in ("--help", "-h") for option, _ in options) or words[:1] == ["help"]:
        return help_text(command)
    if command is None:
        every = [option for known in COMMANDS for option in known.options]
        return (_no_command(words), *_option_faults(options, every))
    operands = words[len(command.words) :]
    faults = (*_option_faults(options, command.options), *_operand_faults(command, operands))
    first, second = (*operands, "", "")[:2]
    return faults or Call(command, first, {name: value or "" for name, value in options}, second)


def help_text(command: Command | None = None) -> str:
    """Say how to call one command, or the program."""
    if command is None:
        width = max(len(c.usage) for c in COMMANDS) - len("ami-promoter  [options]")
        lines = [
            f"  {c.usage.removeprefix('ami-promoter ').removesuffix(' [options]').ljust(width + 1)}  {c.help}"
            for c in COMMANDS
        ]
        more = "`ami-promoter COMMAND --help` shows a command's options."
        text = ["usage: ami-promoter COMMAND [options]", "", *lines, "", more]
    else:
        text = [f"usage: {command.usage}", "", f"{command.help[0].upper()}{command.help[1:]}.", ""]
        text += [f"  {f'{o.name} {o.takes}'.ljust(19)}  {o.help}" for o in command.options]
    return "\n".join((*text, "", EXITS))


def _split(argv: Sequence[str]) -> tuple[list[str], list[tuple[str, str | None]]]:
    """Tell words from options; an option that takes a value takes the next argument, unless that is an option."""
    takes = {option.name for command in COMMANDS for option in command.options if option.takes}
    words: list[str] = []
    options: list[tuple[str, str | None]] = []
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if argument == "--":
            words += rest
            break
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
        elif equals:
            options.append((name, value))
        elif name in takes and rest and not rest[0].startswith("-"):
            options.append((name, rest.pop(0)))
        else:
            options.append((name, None))
    return words, options


def _option_faults(options: Sequence[tuple[str, str | None]], known: Sequence[Option]) -> Iterator[Fault]:
    by_name = {option.name: option for option in known}
    seen: set[str] = set()
    for name, value in options:
        option = by_name.get(name)
        if option is None:
            close = get_close_matches(name, by_name, n=1)
            cure = f"Did you mean `{close[0]}`?" if close else f"Known here: {', '.join(sorted(by_name))}."
            yield Fault("usage-option", name, "there is no such option here.", cure)
        elif name in seen:
            yield Fault("usage-option", name, "it is given twice.", "Give it once.")
        elif option.takes and not value:
            cure = f"Write `{name} {option.takes}`: {option.wanted}."
            yield Fault("usage-option", name, "its value is missing.", cure)
        elif option.takes and not re.fullmatch(option.pattern, value or ""):
            yield Fault("usage-option", name, f"`{value}` is not what it takes.", f"Write {option.wanted}.")
        elif not option.takes and value is not None:
            yield Fault("usage-option", name, "it takes no value.", f"Write `{name}` alone.")
        seen.add(name)


def _operand_faults(command: Command, operands: Sequence[str]) -> Iterator[Fault]:
    name = " ".join(command.words)
    if not operands and command.operand and command.operand_needed:
        yield Fault("usage-operand", name, f"{command.operand} is missing.", f"Write `{command.usage}`.")
    if command.second and len(operands) == 1:
        yield Fault("usage-operand", name, f"{command.second} is missing.", f"Write `{command.usage}`.")
    forms = (
        (command.operand, command.operand_pattern, command.operand_wanted),
        (command.second, command.second_pattern, command.second_wanted),
    )
    taken = sum(bool(form[0]) for form in forms)
    for operand, (called, pattern, wanted) in zip(operands[:taken], forms, strict=False):
        if not re.fullmatch(pattern, operand):
            yield Fault("usage-operand", name, f"`{operand}` is no {called}.", f"Write {wanted}.")
    for operand in operands[taken:]:
        yield Fault("usage-operand", name, f"`{operand}` is too much.", f"Write `{command.usage}`.")


def _no_command(words: Sequence[str]) -> Fault:
    names = [" ".join(command.words) for command in COMMANDS]
    known = ", ".join(f"`{name}`" for name in names)
    if not words:
        return Fault("usage-command", "ami-promoter", "the command is missing.", f"Write one of {known}.")
    given = " ".join(words[:2])
    close = get_close_matches(given, names, n=1)
    cure = f"Did you mean `{close[0]}`?" if close else f"Write one of {known}."
    return Fault("usage-command", "ami-promoter", f"there is no command `{given}`.", cure)
