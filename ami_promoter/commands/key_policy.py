"""The verbs ``admin key-policy target`` and ``hub``: what a key of your own must allow, and whether it does.

Run them with credentials of the account that owns the key: only they can read its policy. The commands change nothing.
They do not read the role's own policy, which the templates write.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from ami_promoter.hub import policies
from ami_promoter.hub.applied_targets import applied_file
from ami_promoter.hub.aws import Account, Connection, HubError
from ami_promoter.hub.key_needs import KeyAnswer, Need, asked, grant_needs, hub_needs, launch_needs, target_needs, unfit
from ami_promoter.rights import CHECK_KEY
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import NotDone, Report
from ami_promoter.verbs import ANYWHERE, InOrder, Matching, VerbCaller, admin, verb
from chalicelib.engine import codec
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.images.keys import KeyFacts
from chalicelib.sharing import policy_text
from chalicelib.sharing.key_policy import allow
from chalicelib.targets.applied_file import grant_role, launch_role

PRINTS = js.some_of(
    js.thing(
        account=js.text("account id of the credentials"),
        region=js.text("the Region that the command used"),
        key=js.text("ARN of the KMS key; without KEY this member and the next three are absent"),
        state=js.text("state of the key, as KMS reports it"),
        rotation=js.perhaps(js.flag("whether KMS rotates the key automatically; null: not known")),
        allowed=js.mapping("whether the key policy allows each needed action", js.text("a verdict")),
        statements=js.several(
            "statements to add to the key policy; without KEY all that it needs", js.mapping("a statement", {})
        ),
    ),
    *("key", "state", "rotation", "allowed"),
)
KEY = Matching(
    "key", "(arn:[a-z0-9-]+:kms:.+|alias/[A-Za-z0-9/_-]+|[a-z0-9-]{20,40})", "a key's ARN, its id, or alias/NAME"
)
ROLE = Matching("name", "[A-Za-z0-9+=,.@_-]{1,64}", "a role's name, without a path")
ROTATION = {True: "on", False: "off", None: "not known"}
key_argument = click.argument("key", type=KEY, required=False)


@admin.group("key-policy", cls=InOrder)
def key_policy() -> None:
    """Print the statements that a key policy needs, or check a key."""


@verb("target", needs=CHECK_KEY, group=key_policy, options=ANYWHERE, prints=PRINTS, reads=True)
@key_argument
@click.option("--role-name", type=ROLE, default="AmiCopyRole", show_default=True, help="The role's name in the target.")
@click.option("--launch-test", is_flag=True, help="Also what the launch role needs, for a target with `launch_test`.")
@click.option(
    "--service-roles", is_flag=True, help="Also what the grant role needs, for a target with `service_linked_roles`."
)
def target(caller: VerbCaller, key: str | None, role_name: str, *, launch_test: bool, service_roles: bool) -> Report:
    """Print what a target's own key must allow, or check KEY.

    The check needs the target's credentials.
    """
    connection = caller.connect()
    if _is_hub_alone(connection):
        what = f"account {connection.account} is the hub, and no target: these statements would name the wrong account."
        cure = "Use credentials of the target; for a key of the hub write `ami-promoter admin key-policy hub`."
        raise NotDone(Fault("other-account", "credentials", what, cure))
    launches = launch_needs(launch_role(role_name)) if launch_test else ()
    grants = grant_needs(grant_role(role_name)) if service_roles else ()
    return _answer(connection, key, (*target_needs(role_name), *launches, *grants))


@verb("hub", needs=CHECK_KEY, group=key_policy, options=ANYWHERE, prints=PRINTS, reads=True)
@key_argument
@click.option(
    "--access",
    type=click.Choice(["grant", "policy"]),
    multiple=True,
    default=["grant"],
    show_default="grant",
    help="The `key_access` of the targets in the targets file; may be repeated.",
)
def hub(caller: VerbCaller, key: str | None, access: tuple[str, ...]) -> Report:
    """Print what a key of the hub must allow, or check KEY.

    The check needs the hub's credentials.
    """
    return _answer(caller.account(), key, hub_needs(caller.region, access))


def _is_hub_alone(connection: Connection) -> bool:
    """Whether the account has the hub's tables, and the applied file does not name it; False if both cannot be seen."""
    try:
        return connection.account not in applied_file(connection).directory.accounts
    except HubError:
        return False


def _answer(account: Account, key: str | None, needs: Sequence[Need]) -> Report:
    """Print the statements, or check a key; may raise HubError."""
    statements = [statement(need, account) for need in needs]
    if key:
        return _check(key, account, needs, statements)
    head = f"Add these to the key policy in {account.place}, unless it already delegates to IAM"
    text = json.dumps(statements, indent=2).splitlines()
    lines = (f"{head} (Principal: the account, Action: kms:*).", "", *text)
    return Report(lines, {"account": account.account, "region": account.region, "statements": statements})


def statement(need: Need, account: Account) -> dict[str, Any]:
    """Return the statement that a key policy needs.

    It names the account, with a condition on the role's name: a role that is created again would lose access, and one
    that does not exist yet cannot be named.
    """
    iam = Arn(account.partition, "iam", "", account.account)
    only = {"ArnEquals": {"aws:PrincipalArn": f"{iam}role/{need.role}"}}
    return allow(need.sid, iam, list(need.actions), {**only, **need.condition})


def _check(key: str, account: Account, needs: Sequence[Need], statements: Sequence[Mapping[str, Any]]) -> Report:
    kms = account.client("kms")
    with account.telling(f"looking at the key {key}"):
        facts = KeyFacts.from_describe(kms.describe_key(KeyId=key)["KeyMetadata"])
    if faults := tuple(unfit(facts, account.account)):
        raise NotDone(*faults)
    with account.telling(f"reading the policy of the key {facts.arn}"):
        document = codec.parsed_json(kms.get_key_policy(KeyId=facts.arn, PolicyName="default")["Policy"])
    rotates = _rotates(kms, facts.arn, account)
    answers = [answer for need in needs for answer in asked(need, document, facts.arn)]
    lacking = [answer for answer in answers if answer.lacks]
    wanted = [one for one in statements if one["Sid"] in {answer.need.sid for answer in lacking}]
    data = {
        "account": account.account,
        "region": account.region,
        "key": facts.arn,
        "state": facts.state,
        "rotation": rotates,
        "allowed": {answer.action: answer.verdict for answer in answers},
        "statements": wanted,
    }
    lines = [f"{facts.arn} is {facts.state}, rotation {ROTATION[rotates]}."]
    lines += [f"  {answer.action.ljust(38)} {answer.verdict} {answer.by}".rstrip() for answer in answers]
    if wanted:
        lines += ["", "Add to its key policy:", *json.dumps(wanted, indent=2).splitlines()]
    else:
        lines.append("As far as a key policy shows, the service can use it.")
    warnings = [
        f"{facts.arn}: {line}" for line in (*_unclear(answers), *_dead(document), *_unrotated(facts, rotates=rotates))
    ]
    return Report(tuple(lines), data, tuple(_lack(facts.arn, answer) for answer in lacking), tuple(warnings))


def _unclear(answers: Iterable[KeyAnswer]) -> Iterator[str]:
    for answer in answers:
        if answer.verdict == policies.UNCLEAR:
            yield f"whether {answer.action} is allowed depends on a condition that cannot be judged here {answer.by}."


def _dead(document: Mapping[str, Any]) -> Iterator[str]:
    """Find deleted principals: they show as their bare id, and make the next change of the policy fail."""
    for one in policy_text.statements(document):
        for principal in policy_text.aws_principals(one.get("Principal")):
            if principal.startswith(("AROA", "AIDA")):
                sid = one.get("Sid", "a statement without Sid")
                yield f"{sid} names {principal}, which exists no longer; take it out before you change the policy."


def _unrotated(key: KeyFacts, *, rotates: bool | None) -> Iterator[str]:
    if rotates is not True:
        said = "is off" if rotates is False else "could not be read"
        yield f"rotation {said}. Turn it on: aws kms enable-key-rotation --key-id {key.arn}"


def _lack(key: str, answer: KeyAnswer) -> Fault:
    role = answer.need.role
    if answer.verdict == policies.DENIED:
        cure = "Remove the denial, or exempt the role."
        return Fault("key-policy-denies", key, f"{answer.action} is denied to {role} {answer.by}.", cure)
    what = f"no statement lets {role} do {answer.action}."
    return Fault(
        "key-policy-lacks", key, what, f"Add the statement {answer.need.sid}; without KEY this command prints it."
    )


def _rotates(kms: Any, arn: str, account: Account) -> bool | None:
    """Whether KMS rotates the key's material automatically; None if not known (imported, custom key store)."""
    try:
        with account.telling("reading the key's rotation"):
            return bool(kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"])
    except HubError as error:
        if error.fault.code != "UnsupportedOperationException":
            raise
        return None
