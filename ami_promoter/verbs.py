"""What every verb has in common: options, exit statuses, and the form of its output.

A verb is a function from a ``VerbCaller`` and its own parameters to a ``Report``; ``verb`` makes a Click command of it.
"""

from __future__ import annotations

import functools
import re
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.console import RenderableType

from ami_promoter.hub import aws
from ami_promoter.hub.applied_targets import AccountNames
from ami_promoter.hub.hub_images import ami_named
from ami_promoter.rights import NOTHING, Rights
from ami_promoter.terminal import remembered
from ami_promoter.terminal.account_names import naming
from ami_promoter.terminal.alike import meant
from ami_promoter.terminal.examples import examples
from ami_promoter.terminal.output import console, emit, show
from ami_promoter.terminal.preferences import VARIABLES, UnusableFile, preferences
from ami_promoter.terminal.report import MEANS, Exit, NotDone, Report, seconds
from ami_promoter.terminal.schema import Schema
from chalicelib.engine.faults import Fault


@dataclass(frozen=True, slots=True)
class TerminalClock:
    """Real time; a test brings its own."""

    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class VerbCaller:
    """The options that say which hub, how to print, and whether to ask. Creating it does not call AWS."""

    region: str
    verb: str = ""
    """Its words, for messages."""
    profile: str | None = None
    table: str | None = None
    hub_account: str | None = None
    tag_key: str | None = None
    yes: bool = False
    as_json: bool = False
    wide: bool = False
    clock: TerminalClock = field(default_factory=TerminalClock)
    names: AccountNames = field(default_factory=AccountNames)

    def connect(self) -> aws.Connection:
        """Connect to the hub's tables, once; may raise HubError."""
        if self.names.hub is None:
            self.names.profile = self.profile
            found = aws.Connection(self.region, self.table, self.hub_account, self.profile, self.tag_key or "")
            self.names.hub = found
        return self.names.hub

    def image(self, ami: str, *, reads: bool) -> str:
        """Return the id of an AMI that is named by its id or its name, for a verb that only ``reads``, or changes.

        Raises NotDone if that names no AMI, or several; may raise HubError.
        """
        return ami if AMI_ID.matches(ami) else ami_named(self.connect(), ami, reads=reads)

    @property
    def alone(self) -> bool:
        """Whether nobody can be asked: without a terminal, or with --json."""
        return self.as_json or not (sys.stdin and sys.stdin.isatty())  # None: the shell has closed it

    def account(self) -> aws.Account:
        """Connect to the caller's account, hub or not; may raise HubError."""
        return aws.Account(self.region, self.profile)

    def confirm(self, does: str, lines: Sequence[RenderableType]) -> Sequence[RenderableType]:
        """Ask before a verb changes what others rely on, but with --yes; return the lines if they are not shown yet.

        ``does``: what the command does, in a sentence without its full stop. Raises NotDone unless the answer is yes.
        Without a terminal nobody can be asked. What will happen, and the question, go to standard error, as a person
        may have sent the output to a file.
        """
        if self.yes:
            return lines
        if self.alone:
            what = f"{does}. Without a terminal, or with --json, nobody can be asked."
            raise NotDone(Fault("not-confirmed", self.verb, what, "To confirm, add --yes."), lines=lines)
        show((*lines, f"{does}."), console(sys.stderr))
        try:
            agreed = click.confirm("Continue?", err=True)
        except click.Abort:
            click.echo(err=True)
            stopped = Fault("interrupted", self.verb, "it was stopped at the question.", "")
            raise NotDone(stopped, status=Exit.INTERRUPTED) from None
        if not agreed:
            raise NotDone(
                Fault("not-confirmed", self.verb, "the answer was no.", "To go on, answer `y`, or add --yes.")
            )
        return ()


class Matching(click.ParamType[str]):
    """A text of a certain form; ``wanted`` describes the form."""

    def __init__(self, name: str, pattern: str, wanted: str) -> None:
        self.name = name
        self._pattern = pattern
        self._wanted = wanted

    def matches(self, value: str) -> bool:
        """Whether a text has this form."""
        return re.fullmatch(self._pattern, value) is not None

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See Click."""
        if not self.matches(value):
            self.fail(f"{value!r} is not {self._wanted}.", param, ctx)
        return value


class FileWord(Matching):
    """A text that can name what the applied file has: ``kinds``, of "groups" and "accounts"."""

    def __init__(self, name: str, pattern: str, wanted: str, *kinds: str) -> None:
        super().__init__(name, pattern, wanted)
        self._kinds = kinds

    def shell_complete(self, ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """See Click. Of several words the last one is completed."""
        known = remembered.words(_profile(ctx))
        before = re.sub(r"[^\s,+]*\Z", "", incomplete)
        found = {before + word: called for kind in self._kinds for word, called in known[kind].items()}
        return [CompletionItem(word, help=called) for word, called in found.items() if word.startswith(incomplete)]


class Duration(click.ParamType[int]):
    """A length of time, in seconds. ``letter``: the one that a number without a letter gets."""

    name = "duration"

    def __init__(self, letter: str, least: str, most: str) -> None:
        self._letter, self._least, self._most = letter, least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See Click."""
        text = f"{value}{self._letter if str(value).isdigit() else ''}"
        try:
            length = seconds(text)
        except ValueError:
            self.fail(f"{value!r} is not a duration, like 90m, 36h or 7d.", param, ctx)
        if not seconds(self._least) <= length <= seconds(self._most):
            self.fail(f"{text} is not between {self._least} and {self._most}.", param, ctx)
        return length


class Number(click.ParamType[int]):
    """A whole number from 1 to ``most``: the help of Click's own type says that as a formula."""

    name = "number"

    def __init__(self, most: int) -> None:
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See Click."""
        if not (str(value).isdecimal() and 1 <= int(value) <= self._most):
            self.fail(f"{value!r} is not a number from 1 to {self._most:,}.", param, ctx)
        return int(value)


class RegionName(click.ParamType[str]):
    """A Region that the SDK knows; others are refused before any call."""

    name = "region"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See Click."""
        if fault := unknown_region(value):
            self.fail(fault, param, ctx)
        return value

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """See Click."""
        return [CompletionItem(name) for name in aws.regions() if name.startswith(incomplete)]


def unknown_region(name: str) -> str:
    """Return what is wrong with a Region's name; "" if the SDK knows it."""
    known = aws.regions()
    if name in known:
        return ""
    cure = meant(name, known) or "Write a Region's name, like us-east-1."
    return f"{name!r} is not a Region that the AWS SDK knows. {cure}"


AMI_ID = Matching("ami", "ami-([0-9a-f]{8}|[0-9a-f]{17})", "an AMI's id, like ami-0123456789abcdef0")
AMI = Matching(
    "ami",
    r"ami-([0-9a-f]{8}|[0-9a-f]{17})|(?!(i|snap|ami)-[0-9a-f]*$)[A-Za-z0-9 ()[\]./'@_-]{3,128}",
    "an AMI's id, like ami-0123456789abcdef0, or its name",
)
"""An AMI by its id, or one of the hub by its name, in the characters that EC2 admits; a verb gets its id."""
FAMILY = Matching("family", "[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, `.`, `_` or `-`")
ACCOUNT_ID = Matching("id", "[0-9]{12}", "an account's id of 12 digits")
ACCOUNT = FileWord("id", "[0-9]{12}", "an account's id of 12 digits", "accounts")
GROUP = FileWord("group", "[A-Za-z][A-Za-z0-9._-]{0,62}", "a group's name", "groups")
TABLE = Matching("name", "[A-Za-z0-9_.-]{3,247}", "a table's name: 3 to 247 letters, digits, `_`, `.` or `-`")
VALUE = FileWord("value", "(?s).{0,256}", "group names and account ids, at most 256 characters", "groups", "accounts")
PLACE = FileWord("account", "[0-9]{12}(/[a-z0-9-]+)?", "an account's id, or ACCOUNT/REGION", "accounts")
DIGEST = Matching("digest", "[0-9a-f]{12,32}", "a digest: 12 to 32 hexadecimal digits")
WHY = Matching("text", "(?s).{1,500}", "a text of 1 to 500 characters")
TAG_KEY = Matching("key", "(?!aws:).{1,127}", "a tag's key")

region_option = click.option(
    "--region",
    type=RegionName(),
    help="The hub's Region. Default: AWS_REGION, AWS_DEFAULT_REGION, or the profile's Region.",
)
profile_option = click.option("--profile", metavar="NAME", help="The AWS profile. Default: AWS_PROFILE.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask. Needed without a terminal, and with --json.")
wide_option = click.option("--wide", is_flag=True, help="Print full ids and ARNs, and group nothing.")
table_option = click.option(
    "--table",
    type=TABLE,
    help="The table of records; the other tables' names begin with it. Default: ami-promoter-REGION.",
)
hub_account_option = click.option(
    "--hub-account", type=ACCOUNT_ID, help="The hub's account; refuse credentials of another account."
)
tag_key_option = click.option("--tag-key", type=TAG_KEY, help="The tag key that triggers promotions. Default: promote.")
ami_argument = click.argument("ami", type=AMI)
hub_only_option = click.option("--hub-only", is_flag=True, help="Check the hub only.")
answers_within_option = click.option(
    "--timeout",
    type=Duration("m", "1m", "24h"),
    default="5m",
    show_default=True,
    help="Stop waiting when no target has answered for this long.",
)

wait_at_most = functools.partial(click.option, "--timeout", type=Duration("m", "1m", "60d"))
"""The option of verbs that wait; ``help`` says when."""

ANYWHERE = (region_option, profile_option, json_option, wide_option)
COMMON = ("region", "profile", "table", "hub_account", "as_json", "wide")
"""Parameters that ``VerbCaller`` takes; the others are a verb's own."""
AT_THE_HUB = (region_option, profile_option, table_option, hub_account_option, json_option, wide_option)


SECTIONS: Mapping[str, Sequence[str]] = {
    "Every day": ("targets", "plan", "promote", "wait", "status", "history", "where", "retry", "cancel", "doctor"),
    "Less often": ("approve", "withdraw", "recall", "rollback", "verify", "report", "completion"),
    "Operate": ("admin",),
}
"""The order of the commands in help and reference; the help explains those of the first section only."""
BEHIND = (
    *("validate", "diff", "apply", "show", "members"),
    *("pause", "resume", "drain", "reconcile", "clean-up", "key-policy"),
    *("target", "hub"),
)
"""The order of the commands behind another's name."""
RENAMED: Mapping[str, str] = {
    "resolve": "where AMI TARGET --ids",
    "members": "targets members",
    **{name: f"admin {name}" for name in ("pause", "resume", "drain", "reconcile", "clean-up", "key-policy")},
}
"""A verb's name of before 0.2 -> what to write now."""


class InOrder(click.Group):
    """Commands in the order of ``BEHIND``."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """See Click."""
        return sorted(self.commands, key=BEHIND.index)


class InSections(click.Group):
    """The commands, section by section."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """See Click."""
        return [name for names in SECTIONS.values() for name in names if name in self.commands]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See Click; an old name says the new one."""
        if (new := RENAMED.get(args[0])) and args[0] not in self.commands:
            ctx.fail(f"`{args[0]}` is `{ctx.command_path} {new}` now.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first sentence of each command of every day, and only the names of the others."""
        (daily, names), *others = SECTIONS.items()
        room = formatter.width - formatter.current_indent - max(map(len, names)) - 4
        with formatter.section(daily):
            formatter.write_dl([(name, self.commands[name].get_short_help_str(room)) for name in names])
        for section, rare in others:
            with formatter.section(section):
                formatter.write_text(", ".join(self._named(ctx, name) for name in rare))

    def _named(self, ctx: click.Context, name: str) -> str:
        command = self.commands[name]
        return f"{name} ({', '.join(command.list_commands(ctx))})" if isinstance(command, click.Group) else name


@click.group(
    "ami-promoter", cls=InSections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="ami-promoter")
def root() -> None:
    """Promote AMIs to other accounts.

    Every verb has --json; `ami-promoter VERB --help` shows all of its options.
    """


def before_the_verb(group: click.Group) -> None:
    """Let a group, and those in it, take the options that say which hub, for the verb that follows."""

    def remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            _before(ctx)[str(param.name)] = value

    def carry() -> None:
        """Carry the options."""

    for option in (tag_key_option, profile_option, region_option):
        option(carry)
    for param in carry.__click_params__:  # type: ignore[attr-defined]  # Click's own place for them
        param.expose_value, param.callback = False, remember
        param.help = re.sub(" Default.*", "", param.help)  # the first page of help has one line for each
        group.params.append(param)
    for inner in group.commands.values():
        if isinstance(inner, click.Group):
            before_the_verb(inner)


def _before(ctx: click.Context) -> dict[str, str]:
    """Return the options that stood before the verb."""
    found: dict[str, str] = ctx.meta.setdefault("before the verb", {})
    return found


def _profile(ctx: click.Context) -> str | None:
    """Return the profile that a verb would use, for its completion; None: the SDK's."""
    named = ctx.params.get("profile") or _before(ctx).get("profile")
    with suppress(UnusableFile):
        in_file = preferences(named).get("profile")
        return named or (in_file and in_file.value)
    return named


def _set(ctx: click.Context, given: dict[str, Any]) -> None:
    """Fill in options that a verb has and was not given: from before the verb, a variable, or the person's file."""
    try:
        known = preferences(given.get("profile") or _before(ctx).get("profile"))
    except UnusableFile as error:
        raise click.UsageError(str(error)) from error
    for param in ctx.command.params:
        name = str(param.name)
        if given.get(name) is None and name in VARIABLES:
            given[name] = _before(ctx).get(name)
            if given[name] is None and name in known:
                value, where = known[name]
                try:
                    given[name] = param.type.convert(value, None, None)
                except click.BadParameter as error:
                    raise click.UsageError(f"{where}: {name}: {error.message}", ctx) from error


@root.group("targets", cls=InOrder)
def targets() -> None:
    """Check, compare and apply the targets file."""


@root.group("admin", cls=InOrder)
def admin() -> None:
    """Stop and restart the hub, repair differences, check keys, and remove what is superseded."""


class Exemplified(click.Command):
    """A command whose help ends with two calls."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show them, each on its line."""
        with formatter.section("Examples"):
            for one in examples(ctx.command_path):
                formatter.write(f"{'':{formatter.current_indent}}{one}\n")


class Verb(Exemplified):
    """A command with its exit statuses and the schema of its JSON."""

    exits: Mapping[Exit, str]
    schema: Schema
    rights: Rights

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Explain the exit statuses, and show two calls."""
        with formatter.section("Exit status"):
            formatter.write_dl([(str(int(status)), self.exits[status]) for status in sorted(self.exits)])
        super().format_epilog(ctx, formatter)


def verb(
    name: str,
    *,
    prints: Schema,
    needs: Rights,
    group: click.Group = root,
    exits: Mapping[Exit, str] | None = None,
    never: Collection[Exit] = (),
    options: Sequence[Callable[[Any], Any]] = AT_THE_HUB,
    reads: bool = False,
) -> Callable[[Callable[..., Report]], Callable[..., Report]]:
    """Make a function a verb: ``prints`` is the schema of its JSON, ``needs`` what its caller must be allowed.

    ``exits``: statuses that only this verb has, or that mean something of their own here; ``never``: those of ``MEANS``
    that it cannot have.
    ``reads``: it changes nothing. A verb that needs no rights works without a Region, too; then the caller's is "".
    """

    def made(function: Callable[..., Report]) -> Callable[..., Report]:
        @click.pass_context
        @functools.wraps(function)
        def run(ctx: click.Context, /, **given: Any) -> Exit:
            _set(ctx, given)
            common = {name: given.pop(name) for name in (*COMMON, "tag_key", "yes") if name in given}
            common["region"] = _region(common["region"], common["profile"], needed=needs != NOTHING)
            caller = VerbCaller(**common, verb=ctx.command_path.partition(" ")[2], clock=ctx.obj or TerminalClock())
            with naming(caller.names):
                names = [str(one.name) for one in ctx.command.params if one.type is AMI]
                try:
                    given |= {name: caller.image(given[name], reads=reads) for name in names if given[name] is not None}
                    report = function(caller, **given)
                except NotDone as no:
                    report = no.report
                return emit(report, as_json=caller.as_json, reads=reads)

        for option in reversed(options):
            option(run)
        command: Verb = click.command(name, cls=Verb)(run)
        command.params.sort(key=lambda one: one.name in COMMON)  # a verb's own options come first in its help
        command.exits = {status: says for status, says in {**MEANS, **(exits or {})}.items() if status not in never}
        command.schema = prints
        command.rights = needs
        group.add_command(command)
        return function

    return made


def _region(given: str | None, profile: str | None, *, needed: bool) -> str:
    """Return the hub's Region; wrong usage if nothing gives one, or if it is no Region."""
    found = given or aws.region(profile)
    if found is None and not needed:
        return ""
    if found is None:
        what = "The hub's Region is not given: not by --region, AWS_REGION or a profile. Add --region REGION."
        raise click.UsageError(what)
    if given is None and (fault := unknown_region(found)):
        raise click.UsageError(f"The Region of AWS_REGION, AWS_DEFAULT_REGION or the profile: {fault}")
    return found
