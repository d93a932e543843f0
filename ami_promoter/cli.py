"""The command ``ami-promoter``: its verbs, and its handling of wrong usage and AWS's refusals."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress

import click
from click.shell_completion import get_completion_class

from ami_promoter.commands import (  # noqa: F401 - each adds its verbs when it is imported
    approve,
    clean_up,
    doctor,
    drain,
    history,
    key_policy,
    members,
    pause,
    plan,
    promote,
    recall,
    reconcile,
    report,
    retry,
    rollback,
    status,
    targets,
    verify,
    where,
    withdraw,
)
from ami_promoter.hub.aws import HubError
from ami_promoter.terminal.output import PROGRAM, discard_output, failed
from ami_promoter.terminal.report import Exit
from ami_promoter.verbs import Exemplified, TerminalClock, before_the_verb, root
from chalicelib.engine.faults import Fault

__all__ = ["main", "root"]

SHELLS = ("bash", "zsh", "fish")


before_the_verb(root)


@root.command(cls=Exemplified)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a completion script for your shell.

    For bash, add to ~/.bashrc: eval "$(ami-promoter completion bash)"
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"Click has no completion for {shell}.")
    click.echo(made(root, {}, PROGRAM, "_AMI_PROMOTER_COMPLETE").source())


def main(argv: Sequence[str] | None = None, clock: TerminalClock | None = None) -> int:
    """Run the command line and return its exit status; ``argv`` is without the program's name."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words, clock, as_json="--json" in words)
    except BrokenPipeError:  # its reader, such as `head`, has ended, and needs no words
        discard_output()
        return Exit.AWS
    except OSError as error:
        what = f"{error.strerror or error}. What the command has done in AWS is done."
        with suppress(OSError):  # standard error may be the same file
            failed([Fault("output", str(error.filename or "output"), what, "")], Exit.AWS, as_json=False)
        discard_output()
        return Exit.AWS


def _run(words: Sequence[str], clock: TerminalClock | None, *, as_json: bool) -> int:
    """Run a verb, or print why not. Raises OSError if the output cannot be written."""
    try:
        status = int(root.main(words, PROGRAM, standalone_mode=False, obj=clock) or Exit.OK)
        print(end="", flush=True)  # here it can still be said that this failed
        return status
    except SystemExit as ended:  # Click's own: after completing a line, or with 1 where the output's reader has ended
        if ended.code != Exit.FAULT:
            raise
        return Exit.AWS
    except click.exceptions.NoArgsIsHelpError as asked:
        asked.show()
        return Exit.USAGE
    except click.ClickException as wrong:
        return failed([_usage(wrong)], Exit.USAGE, as_json=as_json)
    except HubError as error:
        return failed([error.fault], Exit.AWS, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        what = "what has started in AWS continues."
        return failed([Fault("interrupted", "stopped", what, "")], Exit.INTERRUPTED, as_json=as_json)


def _usage(wrong: click.ClickException) -> Fault:
    context = wrong.ctx if isinstance(wrong, click.UsageError) else None
    command = context.command_path if context else PROGRAM
    what = re.sub(r"\s*[\n\t]\s*", " ", wrong.format_message())
    what = re.sub(r"^Invalid value for '\[(\w+)\]", r"Invalid value for '\1", what)  # one that may be left out
    sentence = what if what.endswith((".", "?")) else f"{what}."
    return Fault("usage", command, sentence, f"`{command} --help` shows the usage.")
