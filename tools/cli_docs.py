"""The reference of the command line, ``docs/reference/cli.md``, and of its JSON, ``json.md``: from the command tree."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import click

from ami_promoter.cli import root
from ami_promoter.promotions.promotion_data import PAGE
from ami_promoter.rights import READ, SEE_APPROVERS, Rights
from ami_promoter.terminal.examples import examples
from ami_promoter.terminal.report import MEANS
from ami_promoter.terminal.schema import FAILURE
from ami_promoter.verbs import AT_THE_HUB, COMMON, SECTIONS, Verb
from tools.cli_policies import APPROVER, READ_ONLY, TAGGER, policy

A_PROMOTION = "A promotion"
INTRO = """\
# Command line

This page is generated from the command tree (`make docs`); `ami-promoter VERB --help` says the same.

Install it with [pipx](https://pipx.pypa.io), from a clone of this repository or from a wheel (`make wheel`):

    pipx install .
    pipx install build/wheel/ami_promoter-*.whl

Bash completes verbs, options, Regions, and the groups and accounts that a command has last read of the applied file, after `eval "$(ami-promoter completion bash)"`.
`zsh` and `fish` work the same way.

For every verb:

- The command uses the settings of the AWS SDK: `AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL`, and the files of `aws configure`.
- `--region`, `--profile` and `--tag-key` can stand before the verb, too.
  What you would write each time can stand in the file `~/.config/ami-promoter.toml` (`AMI_PROMOTER_CONFIG` names another), as in `region = "eu-central-1"`: `profile`, `region`, `table`, `hub_account` and `tag_key`.
  If an option or a variable names another profile than the file, the file's Region, table and hub account do not count.
  The variables `AMI_PROMOTER_TABLE`, `AMI_PROMOTER_HUB_ACCOUNT` and `AMI_PROMOTER_TAG_KEY` go before the file, and so do credentials and Region of AWS's own variables; an option goes before all.
- Wherever a verb takes an AMI's id, it takes its name, if only one AMI of the hub has it.
  That needs `ec2:DescribeImages`, and `dynamodb:Scan` on the table of records, which alone knows a deregistered AMI.
  If you may not scan it, a verb that changes something asks for the id.
- If the targets file has a `name` for an account, texts say it beside the id; JSON has the id.
- Tables shorten some ids, such as those of keys and snapshots; `--wide` prints them in full.
  Without a terminal the command does not fold lines; the variable `COLUMNS` sets another width.
- `NO_COLOR` turns colors off. Colors only repeat what the text says.
- The command prints characters that move the cursor or change the direction of writing as escapes, such as `\\x1b`.
- You can run every verb again; a verb that was stopped continues where it stopped.
"""
JSON_INTRO = """\
# JSON of the command line

This page is generated from the command tree (`make docs`): what each verb of the [command line](cli.md) prints with `--json`.
A verb that could not do its work (exit statuses 1, 2, 3 and 130) prints [faults](#a-verb-that-failed) instead.
"""


def page() -> str:
    """Write the whole page."""
    verbs = [line for words, verb in _verbs(root) for line in _verb(words, verb)]
    return "\n".join((INTRO, *_common(), *_contents(), *verbs, *_needs()))


def json_page() -> str:
    """Write the page of what ``--json`` prints."""
    failed = ("## A verb that failed\n", *_fields(FAILURE), "")
    verbs = [line for words, verb in _verbs(root) for line in (f"## {words}\n", *_fields(verb.schema), "")]
    return "\n".join((JSON_INTRO, *failed, *_shared(), *verbs)).rstrip("\n") + "\n"


def _verbs(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Verb]]:
    for name in group.list_commands(click.Context(group)):
        command = group.commands[name]
        if isinstance(command, Verb):
            yield " ".join((*words, name)), command
        if isinstance(command, click.Group):
            yield from _verbs(command, (*words, name))


def _common() -> Iterator[str]:
    yield "## What every verb has\n"
    yield "| option | |\n| --- | --- |"

    def every() -> None:
        """Carry the options."""

    for option in AT_THE_HUB:
        option(every)
    for parameter in every.__click_params__:  # type: ignore[attr-defined]  # Click's own place for them
        yield _row(parameter)
    yield "\n| exit status | |\n| --- | --- |"
    yield from (f"| {int(status)} | {says} |" for status, says in MEANS.items())
    yield "\n[JSON](json.md) lists what each verb prints with `--json`.\n"


def _contents() -> Iterator[str]:
    yield "## Verbs\n\n| | verb | what it does |\n| --- | --- | --- |"
    first = ""
    for words, verb in _verbs(root):
        section = next(name for name, members in SECTIONS.items() if words.split()[0] in members)
        yield f"| {section if section != first else ''} | [`{words}`](#{words.replace(' ', '-')}) | {_first(verb)} |"
        first = section
    yield "| Other | `completion SHELL` | Prints the completion script of bash, zsh or fish. |"
    yield ""


def _first(verb: Verb) -> str:
    return _help(verb).partition("\n\n")[0].replace("\n", " ")


def _help(verb: Verb) -> str:
    return inspect.cleandoc(verb.help or "")


def _verb(words: str, verb: Verb) -> Iterator[str]:
    context = click.Context(verb, info_name=f"ami-promoter {words}")
    yield f"### {words}\n"
    yield f"    {verb.get_usage(context).removeprefix('Usage: ')}\n"
    yield _help(verb) + "\n"
    own = [one for one in verb.params if one.name not in COMMON and isinstance(one, click.Option)]
    if own:
        yield "| option | |\n| --- | --- |"
        yield from map(_row, own)
        yield ""
    lacks = sorted(set(COMMON) - {one.name for one in verb.params})
    if lacks:
        yield f"It has no {' and no '.join(f'`--{name}`'.replace('_', '-') for name in lacks)}.\n"
    special = {status: says for status, says in sorted(verb.exits.items()) if MEANS.get(status) != says}
    if special:
        yield "| exit status | beside those of every verb |\n| --- | --- |"
        yield from (f"| {int(status)} | {says} |" for status, says in special.items())
        yield ""
    for status in sorted(MEANS.keys() - verb.exits.keys()):
        yield f"It never exits with status {int(status)}.\n"
    yield from (f"    {one}" for one in examples(f"ami-promoter {words}"))
    yield ""


def _shared() -> Iterator[str]:
    yield f"## {A_PROMOTION}\n"
    yield "What `status`, `wait` and `promote` print of a promotion:\n"
    yield from _fields(PAGE)
    yield ""


ON = {
    "records": "the table `ami-promoter-R`",
    "config": "`ami-promoter-R-config`",
    "members": "`ami-promoter-R-members`",
    "findings": "`ami-promoter-R-findings`",
    "indexes": "its indexes `account` and `image`",
    "anything": "other reads",
    "keys": "the keys",
    "tag": "the tag",
    "queue": "the worker's queue",
    "approvals": "approvals in `ami-promoter-R-config`",
    "copies": "the copies in a target",
}


def _needs() -> Iterator[str]:
    yield "## What each verb needs\n"
    yield "Four IAM policies contain these rights: `deploy/cli-read-only.json` for people who look and plan (it does not suffice for `doctor`, `verify` and `where --use`, which ask the targets),"
    yield "`deploy/cli-tagger.json` for people who promote and cancel (edit its tag key if yours is another),"
    yield "`deploy/cli-operator.json` for operators, who do everything except tag and approve,"
    yield "`deploy/cli-approver.json` for approvers, who look and approve."
    yield "Who tags and who applies the targets file are two persons, unless you give one both policies."
    yield "None has `iam:GetAccountAuthorizationDetails`, which reads all of the account's IAM: without it `doctor` says that it cannot see who may approve."
    yield "With `UpdateItem` on the table of records `promote` also starts failed deliveries again; without it an operator does, with `retry`."
    yield f"*reads* stands for {', '.join(f'`{one}`' for one in sorted(READ.records))}.\n"
    yield f"| verb | {' | '.join(ON.values())} |\n| --- |{' --- |' * len(ON)}"
    for words, verb in _verbs(root):
        rows = dict(verb.rights.rows())
        yield f"| `{words}` | {' | '.join(_actions(rows.get(name, ())) for name in ON)} |"
    yield ""


def _actions(actions: tuple[str, ...]) -> str:
    reads = set(actions) >= READ.records
    rest = [f"`{one.partition(':')[2] or one}`" for one in actions if not reads or one not in READ.records]
    return ", ".join((["reads"] if reads else []) + rest)


def policies() -> dict[str, Callable[[], str]]:
    """Return what writes the policy of each kind of people, by its file.

    Operators may do everything at the hub but tag and approve.
    """
    every = reduce(Rights.__or__, (verb.rights for _, verb in _verbs(root) if not verb.rights.copies))
    every = replace(every, tag=frozenset(), approvals=frozenset(), anything=every.anything - SEE_APPROVERS.anything)
    people = {"read-only": READ_ONLY, "tagger": TAGGER, "operator": every, "approver": APPROVER}
    return {f"deploy/cli-{name}.json": partial(_policy, rights) for name, rights in people.items()}


def _policy(rights: Rights) -> str:
    return json.dumps(policy([rights]), indent=2) + "\n"


def _row(parameter: click.Parameter) -> str:
    assert isinstance(parameter, click.Option)  # noqa: S101 - only these have a help text
    metavar = "" if parameter.is_flag else f" {parameter.make_metavar(click.Context(root))}"
    shown = parameter.show_default  # a text: what stands for several values
    default = f" Default: `{shown if isinstance(shown, str) else parameter.default}`." if shown else ""
    return f"| `{parameter.opts[0]}{metavar}` | {(parameter.help or '').replace('|', chr(92) + '|')}{default} |"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| member | type | what it is |\n| --- | --- | --- |"
    for path, one, needed in _walk(schema, ""):
        kind = one.get("type", "anything")
        kinds = " or ".join(kind) if isinstance(kind, list) else kind
        more = f"; see [{A_PROMOTION}](#a-promotion)" if PAGE in (one, one.get("items")) and path else ""
        yield f"| `{path}` | {kinds}{'' if needed else ', optional'} | {one.get('description', '')}{more} |"


def _walk(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    for name, one in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, one, name in schema["required"]
        yield from _inside(one, here)


def _inside(one: Mapping[str, Any], here: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    if one is PAGE:
        return
    yield from _walk(one, here)
    if items := one.get("items"):
        yield from _inside(items, f"{here}[]")
    if values := one.get("additionalProperties"):
        yield from _inside(values, f"{here}.NAME")
