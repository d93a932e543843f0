"""Checks of Organizations: who may call it, and what the lists show."""

from datetime import timedelta
from typing import Any

from awsim.services.organizations import SimulatedOrganization
from awsim.world import World
from iam_words import DEV, OPS, PROD, allow, allowed, document, put_role, session
from platform_words import refused

MANAGEMENT = "900000000000"


def _scene(world: World) -> tuple[SimulatedOrganization, str, str, Any]:
    """Make an organization with an OU and one inside it, DEV in the outer and PROD in the inner; time has passed."""
    made = world.organizations.create(MANAGEMENT)
    outer = world.organizations.add_unit(made, "workloads")
    inner = world.organizations.add_unit(made, "production", outer)
    for account, unit in ((OPS, made.root), (DEV, outer), (PROD, inner)):
        world.organizations.add_account(made, account, unit)
    _wait(world)
    return made, outer, inner, world.client("organizations", MANAGEMENT)


def _wait(world: World) -> None:
    world.kernel.run(limit=timedelta(seconds=60))


def _all(client: Any, operation: str, parent: str, what: str = "Accounts") -> list[dict[str, Any]]:
    """Follow the tokens to the end."""
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        page = getattr(client, operation)(ParentId=parent, **more)
        found += page[what]
        if "NextToken" not in page:
            return found
        more = {"NextToken": page["NextToken"]}


def _ids(client: Any, parent: str) -> list[str]:
    return [account["Id"] for account in _all(client, "list_accounts_for_parent", parent)]


def org_management_or_delegated_only(world: World) -> None:
    made, outer, _, _ = _scene(world)
    ops = world.client("organizations", OPS)

    for ask in (
        lambda: ops.list_accounts_for_parent(ParentId=outer),
        lambda: ops.describe_account(AccountId=DEV),
        ops.list_roots,
    ):
        refused("AccessDeniedException", ask)
    assert allowed(ops.describe_organization)["Organization"]["Id"] == made.id
    world.organizations.delegate(made, OPS)
    allowed(ops.list_roots)


def org_direct_children_only(world: World) -> None:
    made, outer, inner, client = _scene(world)

    assert _ids(client, outer) == [DEV]
    assert _ids(client, inner) == [PROD]
    units = _all(client, "list_organizational_units_for_parent", made.root, "OrganizationalUnits")
    assert [unit["Arn"] for unit in units] == [made.arn_of(outer)]
    assert world.organizations.contains(made.arn_of(outer), PROD)
    assert not world.organizations.contains(made.arn_of(inner), DEV)
    assert world.organizations.contains(made.arn, OPS)


def org_pages_of_20(world: World) -> None:
    made, outer, _, client = _scene(world)
    for number in range(44):
        world.organizations.add_account(made, f"{600000000000 + number}", outer)
    _wait(world)
    first = client.list_accounts_for_parent(ParentId=outer, MaxResults=20)
    page = client.list_accounts_for_parent(ParentId=outer, NextToken=first.get("NextToken", "from-0"))

    assert len(page["Accounts"]) == 20
    assert len(_ids(client, outer)) == 45


def org_empty_page_is_not_the_last(world: World) -> None:
    _, outer, _, client = _scene(world)
    first = client.list_accounts_for_parent(ParentId=outer)

    assert first["Accounts"] == []
    assert first["NextToken"]
    assert _ids(client, outer) == [DEV]


def org_state_tells_more_than_status(world: World) -> None:
    made, outer, _, client = _scene(world)
    world.organizations.close(made, DEV)
    _wait(world)
    (account,) = _all(client, "list_accounts_for_parent", outer)

    assert (account.get("State"), account["Status"]) == ("CLOSED", "SUSPENDED")


def org_accounts_have_paths(world: World) -> None:
    made, outer, inner, client = _scene(world)
    described = client.describe_account(AccountId=PROD)["Account"]
    listed = _all(client, "list_accounts_for_parent", outer)

    assert described.get("Paths") == [f"{made.id}/{made.root}/{outer}/{inner}/{PROD}/"]
    assert [one.get("Paths") for one in listed] == [[f"{made.id}/{made.root}/{outer}/{DEV}/"]]


def org_reads_are_late(world: World) -> None:
    made, outer, inner, client = _scene(world)
    world.organizations.move(made, DEV, inner)

    assert _ids(client, outer) == [DEV]
    _wait(world)
    assert (_ids(client, outer), _ids(client, inner)) == ([], [DEV, PROD])


def org_strangers_are_not_found(world: World) -> None:
    made, _, _, client = _scene(world)
    world.organizations.remove(made, DEV)
    _wait(world)

    refused("AccountNotFoundException", client.describe_account, AccountId=DEV)
    refused("ChildNotFoundException", client.list_parents, ChildId=DEV)
    refused("ParentNotFoundException", client.list_accounts_for_parent, ParentId="ou-zzzz-00000000")
    assert allowed(client.describe_account, AccountId=PROD)["Account"]["State"] == "ACTIVE"
    assert world.organizations.of(DEV) is None


def org_control_policies_deny(world: World) -> None:
    made, outer, _, _ = _scene(world)
    image = {
        account: world.ec2.seed_image(account, "us-east-1", name="it", volumes=(8,)) for account in (DEV, PROD, OPS)
    }
    world.organizations.add_account(made, MANAGEMENT, outer)
    image[MANAGEMENT] = world.ec2.seed_image(MANAGEMENT, "us-east-1", name="it", volumes=(8,))
    deny = {"Effect": "Deny", "Action": "ec2:CreateTags", "Resource": "*"}
    world.organizations.attach(made, "no-tags", document(deny), [outer])

    def tag(account: str) -> Any:
        tags = [{"Key": "a", "Value": "b"}]
        return world.client("ec2", account).create_tags(Resources=[image[account]], Tags=tags)

    role = put_role(world, "tagger", allow("ec2:*"), account=DEV)
    refused(
        "UnauthorizedOperation",
        session(world, "ec2", role).create_tags,
        Resources=[image[DEV]],
        Tags=[{"Key": "a", "Value": "b"}],
    )
    for account in (DEV, PROD):
        refused("UnauthorizedOperation", tag, account, saying="service control policy")
    for account in (OPS, MANAGEMENT):
        allowed(tag, account)
    world.organizations.attach(made, "no-tags", document(deny), [])
    allowed(tag, DEV)
