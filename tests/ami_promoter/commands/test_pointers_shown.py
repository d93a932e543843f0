"""What the command line shows of pointers: `status`, `retry` and `where`, for records as the service writes them."""

from dataclasses import replace

import pytest

from ami_promoter.hub import record_requests
from chalicelib.delivery import model as delivery
from chalicelib.engine import addresses
from chalicelib.engine.faults import Fault
from chalicelib.engine.store.records import DynamoRecords
from chalicelib.release.current import Release
from chalicelib.release.pointer import Pointer
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.organization import Organization
from chalicelib.targets.recalls import Pin
from tests.ami_promoter.a_hub import AMI, DEV, HUB, NINE, PROD, REGION, a_delivery, apply, promoted, read_unit, write

pytestmark = pytest.mark.usefixtures("ten_past_nine")

OTHER, OU = "ami-0fedcba9876543210", "ou-0001-aaaaaaaa"


def a_pointer(account=DEV, *, image="ami-0aaaaaaaaaaaaaaaa", source=AMI, fault=None, **changes):
    """Build the pointer of the family `base` in an account, with two AMIs that were delivered there."""
    old = Release(AMI, "2026-01-01T00:00:00.000Z", "ami-0aaaaaaaaaaaaaaaa", "x86_64", "d1", 1)
    new = Release(OTHER, "2026-02-01T00:00:00.000Z", "ami-0bbbbbbbbbbbbbbbb", "x86_64", "d2", 1)
    known = {"image": image, "settled": True, "fault": fault, "releases": (old, new), "next_try": NINE + 86400}
    return Pointer(account, REGION, "/golden/base/current", "base", HUB, **(known | changes))


def named(account, *, parameter="/golden/base/current", **changes):
    """Build a delivered AMI that the pointer of its family names, or is to name."""
    naming = delivery.Naming("base", parameter, offered_at=NINE, done=True, **changes)
    return a_delivery(account, image=delivery.NewImage("ami-0aaaaaaaaaaaaaaaa"), naming=naming)


NOT_OURS = Fault(
    "pointer-not-ours",
    f"account {DEV}, {REGION}, parameter /golden/base/current",
    "It names 'ami-0fff', which this hub has not delivered there as `base`.",
    "If nobody needs it, `aws ssm delete-parameter --name /golden/base/current` in that account and Region. "
    f"Then `ami-promoter retry {AMI} --account {DEV}`.",
)


@pytest.mark.parametrize(
    ("pointer", "says"),
    [
        (a_pointer(), "It names this AMI."),
        (a_pointer(image="ami-0bbbbbbbbbbbbbbbb"), f"It names ami-0bbbbbbbbbbbbbbbb from {OTHER}, which is newer."),
        (
            a_pointer(pin=Pin(AMI, "2026-01-01T00:00:00.000Z", NINE, "jane")),
            "It names this AMI, and a rollback holds it there.",
        ),
        (
            a_pointer(image="ami-0ccccccccccccccccc", pin=Pin("ami-0c", "2025-12-01T00:00:00.000Z", NINE, "jane")),
            "It names ami-0ccccccccccccccccc: a rollback holds it at ami-0c.",
        ),
        (
            a_pointer(
                image="ami-0ccccccccccccccccc", pin=Pin("ami-0c", "2025-12-01T00:00:00.000Z", NINE, "jane", "Slow.")
            ),
            "It names ami-0ccccccccccccccccc: a rollback holds it at ami-0c: Slow.",
        ),
        (
            a_pointer(pin=Pin(AMI, "2026-01-01T00:00:00.000Z", NINE, "jane", "Slow.")),
            "It names this AMI, and a rollback holds it there: Slow.",
        ),
        (
            a_pointer(image="", pin=Pin("ami-0c", "2025-12-01T00:00:00.000Z", NINE, "jane")),
            "It names no AMI: a rollback holds it at ami-0c. `ami-promoter retry ami-0c` lets that AMI count for it.",
        ),
        (a_pointer(image="", fault=NOT_OURS), NOT_OURS.what),
        (a_pointer(image="", settled=False), "It is being brought up to date."),
        (a_pointer(image=""), "It names no AMI: the target shows none of the family available."),
        (
            a_pointer(unwanted=True, image="ami-0bbbbbbbbbbbbbbbb"),
            (
                "The targets file no longer sets it for this target: it only moves off what is recalled or withdrawn. "
                f"If the file names another one, `ami-promoter retry {AMI}` lets this AMI count there."
            ),
        ),
        (None, "It does not exist yet."),
    ],
)
def test_what_a_pointer_names_and_why(table, run, pointer, says):
    """The parameter with the AMI that it names now, and why it is another one; a fault with its cure."""
    promoted(table, named(DEV))
    if pointer is not None:
        write(table, pointer)

    (one,) = run("status", AMI, "--json").data["promotion"]["deliveries"]
    said = run("status", AMI).words

    assert one["family"] == "base"
    assert one["pointer"]["parameter"] == "/golden/base/current"
    assert (one["pointer"]["image"] or "") == (pointer.image if pointer else "")
    assert f"{DEV} us-east-1: family base, parameter /golden/base/current: {says}" in said
    assert (NOT_OURS.cure in said) is (says == NOT_OURS.what)


@pytest.mark.parametrize(
    ("state", "naming"),
    [
        ("copying", {"parameter": "/golden/base/current"}),
        ("failed", {"parameter": "/golden/base/current"}),
        ("failed", {"fault": NOT_OURS}),
    ],
)
def test_a_delivery_whose_ami_does_not_stand_there_has_no_pointer(table, run, state, naming):
    """Whatever its family's parameter names."""
    promoted(table, a_delivery(DEV, state, naming=delivery.Naming("base", **naming)))
    write(table, a_pointer())

    assert run("status", AMI, "--json").data["promotion"]["deliveries"][0]["pointer"] is None


OLDER = Release("ami-0c", "2025-12-01T00:00:00.000Z", "ami-0ccccccccccccccccc", "x86_64", "d0", 1)


@pytest.mark.parametrize(
    ("naming", "pointer", "says"),
    [
        ({"shows": OLDER.image}, None, f"Its record is lost; it named {OLDER.image} when this AMI was delivered."),
        (
            {"offered_at": NINE},
            a_pointer(image=OLDER.image, releases=(*a_pointer().releases, OLDER)),
            f"It names {OLDER.image}: the target does not show this AMI available.",
        ),
        (
            {},
            a_pointer(image=OLDER.image, releases=(OLDER,)),
            f"It names {OLDER.image}, until the service has looked at this AMI.",
        ),
    ],
)
def test_a_parameter_that_names_an_older_ami_says_why(table, run, naming, pointer, says):
    """Nothing newer is there."""
    one = named(DEV)
    promoted(table, replace(one, naming=delivery.Naming("base", parameter="/golden/base/current", **naming)))
    if pointer is not None:
        write(table, pointer)

    assert f"parameter /golden/base/current: {says}" in run("status", AMI).words


def test_a_pointers_fault_stays_visible_until_it_is_cured(table, run):
    """In the AMI's deliveries, in the list of all promotions and among what is in trouble; afterwards nowhere."""
    promoted(table, named(DEV, fault=NOT_OURS))
    write(table, a_pointer(image="", fault=NOT_OURS))

    for given in ([AMI], [AMI, "--failed"], [], ["--failed"]):
        said = run("status", *given).words
        assert f"{NOT_OURS.what} {NOT_OURS.cure}" in said, given

    DynamoRecords(table).forget(addresses.pointer(DEV, REGION, "/golden/base/current"), {})
    (lost,) = run("status", AMI, "--json").data["promotion"]["deliveries"]
    assert (lost["pointer"]["why"], lost["pointer"]["fault"]["code"]) == ("", NOT_OURS.code)
    write(table, a_pointer())
    for given in ([AMI], [AMI, "--failed"], [], ["--failed"]):
        assert NOT_OURS.what not in run("status", *given).words, given


@pytest.mark.parametrize("columns", [80, 120])
def test_pointers_of_many_targets_fit_the_terminal(table, run, monkeypatch, columns):
    """Equal ones together: one that is right, one that names a newer AMI, two with a fault. A command stays whole."""
    monkeypatch.setenv("COLUMNS", str(columns))
    accounts = [str(number) * 12 for number in range(1, 7)]
    promoted(table, *(named(account) for account in accounts))
    for number, account in enumerate(accounts):
        fault = replace(NOT_OURS, where=f"account {account}") if number > 3 else None
        write(
            table,
            a_pointer(account, image="ami-0bbbbbbbbbbbbbbbb" if number == 3 else "ami-0aaaaaaaaaaaaaaaa", fault=fault),
        )

    for given in ([AMI], []):
        said = run("status", *given).lines
        assert [line for line in said if len(line) > columns and "`" not in line] == []
        assert " ".join(" ".join(said).split()).count(NOT_OURS.what) == 1
    assert "2 pointers with a fault:" in said


def test_a_family_that_cannot_be_used_is_shown(table, run):
    """There is no parameter to look at; the fault is on the delivery."""
    fault = Fault("family-not-usable", f"account {DEV}, {REGION}", "The tag `family` names no family.", "Correct it.")
    promoted(table, named(DEV, parameter="", fault=fault))

    assert f"{DEV} us-east-1: The tag `family` names no family.\n    Correct it.\n" in run("status", AMI).out


@pytest.mark.parametrize("value", ["dev", None])
@pytest.mark.parametrize("places", [[], [DEV], [PROD], ["3" * 12]])
def test_retry_makes_the_service_look_at_a_pointer_with_a_fault(table, run, places, value):
    """After the tag was removed, too; no delivery starts. In an account that was named it needs no fault."""
    promoted(table, *(named(account) for account in (DEV, PROD, "3" * 12)), value=value)
    for account in (DEV, PROD):
        write(table, a_pointer(account, image="", fault=NOT_OURS))
    write(table, a_pointer("3" * 12))

    given = [word for place in places for word in ("--account", place)]
    asked = run("retry", AMI, *given, "--json").data
    due = [
        account
        for account in (DEV, PROD, "3" * 12)
        if DynamoRecords(table).read(addresses.pointer(account, REGION, "/golden/base/current")).scheduled == NINE + 600
    ]
    assert due == (places or [DEV, PROD])
    assert [one["account"] for one in asked["pointers"]] == due
    assert asked["again"] == []


def test_retry_says_how_many_renamed_parameters_are_left_for_the_next_one(table, file, run, monkeypatch):
    """The file has named the parameter of three targets since; here one entry has room for two."""
    monkeypatch.setattr(record_requests, "MOST_PLACES", 2)
    accounts = [DEV, PROD, "3" * 12]
    promoted(table, *(named(account, parameter="") for account in accounts), value="all")
    run(
        "targets",
        "apply",
        "--yes",
        file(f'groups: {{all: {accounts}}}\ndefaults: {{ssm_parameter: "/new/{{family}}"}}\n'),
    )

    said = run("retry", AMI).words
    assert f"2 targets ({DEV} {REGION}, {PROD} {REGION}): from now on the AMI counts for /new/base." in said
    assert "1 target more: run the command again." in said

    beside = run("retry", AMI, "--account", "3" * 12)  # the service has not read the entry yet
    assert "from now on" not in beside.words
    assert "1 target more: run the command again." in beside.words


def test_retry_lets_a_parked_pointer_continue(table, run):
    """`status` names the command, as for every fault of a pointer."""
    promoted(table, named(DEV))
    write(table, a_pointer())
    key = addresses.pointer(DEV, REGION, "/golden/base/current")
    DynamoRecords(table).park(key, "IllegalEvent: …", NINE)

    assert f"`ami-promoter retry {AMI} --account {DEV}` lets it continue." in run("status", AMI).out
    assert f"{key} was parked, and continues." in run("retry", AMI, "--account", DEV).out
    assert not DynamoRecords(table).read(key).parked


def test_where_a_familys_current_amis_are(table, run, monkeypatch):
    """A line for each target: for a person with source and parameter, for a script with the AMI alone, and as data."""
    monkeypatch.setenv("COLUMNS", "80")
    write(table, a_pointer(pin=Pin(AMI, "2026-01-01T00:00:00.000Z", NINE, "jane", "Slow.")))
    write(table, a_pointer(PROD, image="ami-0bbbbbbbbbbbbbbbb"))
    write(table, a_pointer("3" * 12, image="", fault=NOT_OURS))
    write(table, a_pointer("4" * 12, unwanted=True, pin=Pin(AMI, "2026-01-01T00:00:00.000Z", NINE, "jane")))
    write(table, replace(a_pointer("5" * 12), family="web", parameter="/golden/web/current"))

    said = run("where", "--family", "base").lines
    ids = run("where", "--family", "base", "--ids")
    found = run("where", "--family", "base", "--json").data["pointers"]

    assert said[:5] == [
        "Family base, parameter /golden/base/current:",
        "TARGET                  AMI                    SOURCE",
        "111111111111 us-east-1  ami-0aaaaaaaaaaaaaaaa  ami-0123456789abcdef0",
        "222222222222 us-east-1  ami-0bbbbbbbbbbbbbbbb  ami-0fedcba9876543210",
        "333333333333 us-east-1  -                      -",
    ]
    assert said[6:9] == [
        f"  111111111111 us-east-1: A rollback holds it at {AMI}: Slow.",
        "  444444444444 us-east-1: The targets file no longer sets it, so nobody keeps it",
        f"  up to date. A rollback holds it at {AMI}.",
    ]
    assert ids.out.splitlines() == [
        "111111111111 us-east-1 ami-0aaaaaaaaaaaaaaaa",
        "222222222222 us-east-1 ami-0bbbbbbbbbbbbbbbb",
    ]
    assert f"warning: 333333333333/us-east-1: /golden/base/current: {NOT_OURS.what}" in " ".join(ids.err.split())
    assert [(one["account"][0], one["image"], one["kept"]) for one in found] == [
        ("1", "ami-0aaaaaaaaaaaaaaaa", True),
        ("2", "ami-0bbbbbbbbbbbbbbbb", True),
        ("3", None, True),
        ("4", "ami-0aaaaaaaaaaaaaaaa", False),
    ]


def test_the_report_counts_the_parameters_that_a_rollback_holds(table, file, run):
    """Its printed lines say nothing of rollbacks if there is none."""
    file("")
    promoted(table, named(DEV), named(PROD))
    write(table, a_pointer(PROD))
    assert "rollback" not in run("report").out
    write(table, a_pointer(pin=Pin(AMI, "2026-01-01T00:00:00.000Z", NINE, "jane")))

    assert "Parameters that a rollback holds: 1." in run("report").lines


def test_a_family_that_no_parameter_names(client, run):
    """The command says where a family comes from, and where its parameter."""
    assert "no parameter in a target names an AMI of it" in run("where", "--family", "base", exits=1).err


def test_where_says_which_copies_are_current(table, run):
    """And prints a line for each copy, for scripts."""
    promoted(table, named(DEV), named(PROD), named("3" * 12, parameter=""))
    write(table, a_pointer())
    write(table, a_pointer(PROD, image="ami-0bbbbbbbbbbbbbbbb"))

    said = run("where", AMI).lines
    ids = run("where", AMI, "--ids").lines

    assert [line.split()[-1] for line in said[1:]] == ["CURRENT", "yes", "no", "-"]
    assert ids == [f"{account} us-east-1 ami-0aaaaaaaaaaaaaaaa" for account in (DEV, PROD, "3" * 12)]


def test_where_says_of_a_delivery_that_has_not_ended_what_status_says(table, run):
    """Who waits for an AMI reads what it waits for."""
    promoted(table, named(DEV), a_delivery(PROD, "awaiting-approval"))

    there, waits = run("where", AMI, "--json").data["copies"]
    assert (there["state"], waits["state"]) == ("delivered", "awaiting-approval")
    assert (waits["image"], waits["current"]) == (None, None)
    assert f"{PROD} us-east-1  awaiting-approval  -" in run("where", AMI).out


@pytest.mark.parametrize(
    ("group", "status", "found"),
    [
        ("dev", 0, "ami-0aaaaaaaaaaaaaaaa"),
        ("nobody", 1, "has no account now"),
        ("conflict", 0, "ami-0aaaaaaaaaaaaaaaa"),
    ],
)
def test_a_script_that_asks_for_a_group_gets_ids_or_an_error(table, client, run, group, status, found):
    """No id and exit status 0 would be taken for an answer; an account whose settings conflict keeps its AMI."""
    away = Target(DEV, REGION, by_way_of=HUB) if group == "conflict" else Target(DEV, REGION)
    groups = {group: (OU,) if group == "nobody" else (DEV,)}
    directory = Directory(groups, {DEV: (away,)}, organization=Organization("o-1", {OU: ("nobody",)}))
    apply(directory)
    read_unit(client, OU)
    promoted(table, named(DEV))

    said = run("where", AMI, group, "--ids", exits=status)
    assert found in (said.err if status else said.out)


def test_a_script_that_asks_for_a_group_that_the_value_does_not_name_learns_that(table, client, run):
    """`status` has nothing about such a target; of a failed delivery it says why."""
    apply(Directory({"dev": (DEV,), "prod": (PROD,)}, {one: (Target(one, REGION),) for one in (DEV, PROD)}))
    promoted(table, a_delivery(DEV, "failed"))

    assert f"`ami-promoter status {AMI}` shows why." in run("where", AMI, "dev", "--ids", exits=1).errors
    said = run("where", AMI, "prod", "--ids", exits=1).errors
    assert f"The tag's value does not name it: `ami-promoter promote {AMI} VALUE`." in said


def test_superseded_copies_are_listed_as_removable(table, run):
    """With what could not be deprecated and why; without any the command says so."""
    assert "No copy is retired" in run("status", "--retired").out
    write(table, a_pointer(image="ami-0bbbbbbbbbbbbbbbb", retired=("ami-0aaaaaaaaaaaaaaaa",)))
    denied = Fault("aws-UnauthorizedOperation", "there", "EnableImageDeprecation was refused.", "Allow it.")
    write(table, a_pointer(PROD, not_retired=denied))

    found = run("status", "--retired", "--json").data
    assert [(one["account"], one["image"], one["source"]) for one in found["retired"]] == [
        (DEV, "ami-0aaaaaaaaaaaaaaaa", AMI)
    ]
    assert [(one["account"], one["fault"]["code"]) for one in found["not_retired"]] == [(PROD, denied.code)]
    said = run("status", "--retired").words
    assert f"base {DEV} us-east-1 ami-0aaaaaaaaaaaaaaaa {AMI} 2026-01-01" in said
    assert "`ami-promoter admin clean-up`" in said
    assert f"{denied.what} {denied.cure}" in said
