"""One promotion on a terminal."""

from itertools import chain

import pytest

from ami_promoter.promotions import promotion_text
from ami_promoter.terminal.report import moment
from tests.ami_promoter.printing import as_printed
from tests.ami_promoter.shown import a_delivery, a_page

NOW = 1767603600
COPY = {"source": "snap-1", "state": "pending", "tries": 1, "progress": 0, "progress_at": "-", "seconds_left": None}


def numbered(number, state, **changes):
    """Build a delivery to the account with this number."""
    return a_delivery(str(200000000000 + number), state, **changes)


def printed(deliveries, **options):
    """Return the lines of a page."""
    return as_printed(promotion_text.show(a_page(deliveries), "here", NOW, **options))


def a_failure(number, what, cure="Enable it."):
    """Build a delivery that failed; `A` in its cause stands for its account."""
    failed = numbered(number, "failed")
    return failed | {"faults": [{"what": what.replace("A", failed["account"]), "cure": cure}]}


def test_a_screen_shows_what_moves_of_a_thousand_targets():
    """A row for each state: what failed first, then what is under way; all of it fits."""
    states = {7: "failed", 500: "copying", 999: "registering"}
    deliveries = [numbered(n, states.get(n, "awaiting-slot" if n % 2 else "delivered")) for n in range(1000)]

    lines = printed(deliveries, watched=True)

    assert len(lines) < 24
    assert [line.split()[2] for line in lines[5:8]] == ["failed", "copying", "registering"]
    assert lines[8].startswith("200000000001 us-east-1 and 497 more  awaiting-slot")
    assert lines[9].startswith("200000000000 us-east-1 and 498 more  delivered")


def test_a_screen_shows_first_what_failed_and_what_moves():
    """A terminal cuts off what it has no room for."""
    deliveries = [numbered(1, "delivered"), numbered(2, "copying"), numbered(3, "failed")]

    lines = printed(deliveries, watched=True)

    assert [line.split()[2] for line in lines[4:7]] == ["failed", "copying", "delivered"]


@pytest.mark.parametrize(
    ("state", "tries", "progress", "said"),
    [
        ("wanted", 0, 0, " 0%"),
        ("wanted", 1, 0, "will be made again"),
        ("completed", 1, None, "100%"),
        ("completed", 1, 99, "100%"),
    ],
)
def test_how_far_a_copy_is(state, tries, progress, said):
    """One that failed has no progress; its event says that one is completed, whatever the last look has shown.

    Without an estimate nothing is said of the time that is left.
    """
    copy = COPY | {"state": state, "tries": tries, "progress": progress}

    (line,) = (one for one in printed([numbered(1, "copying", copies=[copy])]) if "snap-1" in one)

    assert line.endswith(said)
    assert "soon" not in line


@pytest.mark.parametrize("number", [1, 30])
def test_how_old_the_progress_is_is_said(number):
    """The service looks every 15 minutes: who compares with EC2 must not take 30% for a copy that hangs."""
    every = [COPY | {"progress": 30, "progress_at": at} for at in ("-", "2026-01-05T08:48:00Z", "2026-01-05T08:59:00Z")]

    said = "EC2 reported this progress at most 12m ago."
    assert said in printed([numbered(n, "copying", copies=every) for n in range(number)])
    assert said not in printed([numbered(n, "copying", copies=every[:1]) for n in range(number)])


@pytest.mark.parametrize(
    ("tries", "waits_for", "is_said"), [(1, None, True), (0, None, False), (1, {"what": "EC2 throttles."}, False)]
)
def test_of_a_copy_that_failed_once_it_is_said_what_shows_the_reason(tries, waits_for, is_said):
    """Where the delivery does not say it itself."""
    copy = COPY | {"state": "wanted", "tries": tries}

    lines = printed([numbered(1, "copying", copies=[copy], waits_for=waits_for)])

    assert ("Why a copy is made again: `ami-promoter history ami-1`" in lines) is is_said


@pytest.mark.parametrize(
    ("method", "why", "said"),
    [
        ("image", "", "by CopyImage: the targets file says so."),
        ("image", "It is encrypted.", "by CopyImage: It is encrypted."),
        ("snapshots", "It has three volumes.", "by CopySnapshot and RegisterImage: It has three volumes."),
    ],
)
def test_by_which_method_it_is_copied_is_said_with_the_reason(method, why, said):
    """Where the service has not chosen it, the targets file has."""
    assert f"200000000001 us-east-1: {said}" in printed([numbered(1, "copying", method=method, method_why=why)])


def test_all_are_shown_where_they_fit():
    """And where it is no live view."""
    deliveries = [numbered(n, "delivered") for n in range(30)]

    assert sum("delivered" in line for line in printed(deliveries[:3], watched=True)) == 1 + 3
    assert sum("ami-0aaaaaaaaaaaaaaaa" in line for line in printed(deliveries, wide=True)) == 30


def test_a_thousand_targets_have_a_row_for_each_state():
    """With the longest time in it; equal causes are one; so are equal shares."""
    deliveries = [numbered(n, "delivered") | {"since": f"2026-01-05T08:{n % 60:02}:00Z"} for n in range(990)]
    deliveries += [a_failure(n, "The key arn:aws:kms:us-east-1:A:key/k is disabled.") for n in range(990, 1000)]
    opened = {"state": "open", "opened_at": "2026-01-05T08:50:00Z", "preexisting": False, "stays": True}
    shares = [
        {
            "resource": "image#ami-1",
            "account": one["account"],
            "closes_at_the_latest": "-",
            "not_closing": None,
            **opened,
        }
        for one in deliveries
    ]

    assert as_printed(promotion_text.show(a_page(deliveries, open_shares=shares), "here", NOW)) == [
        "ami-1 golden in here",
        "running for -, value `dev`: 990 delivered, 10 failed",
        "",
        "TARGET                               STATE      FOR  LEFT  AMI OR PROGRESS",
        "200000000990 us-east-1 and 9 more    failed     -",
        "200000000000 us-east-1 and 989 more  delivered  1h",
        "With `--wide` each target has a row of its own.",
        "",
        "failed  10 targets (200000000990 us-east-1, 200000000991 us-east-1, 200000000992",
        "        us-east-1 and 7 more):",
        "    In 200000000990 us-east-1, for example: The key",
        "    arn:aws:kms:us-east-1:200000000990:key/k is disabled.",
        "    Enable it.",
        "After you have repaired that: `ami-promoter retry ami-1`",
        "",
        "Shares: 1,000 open, to 1,000 accounts, until they are withdrawn.",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_a_thousand_failures_of_one_cause_are_half_a_screen(width):
    """Whether of one AMI or of many; what differs from the others is shown by itself."""
    cause = "The key arn:aws:kms:us-east-1:A:key/k is disabled."
    one = [a_page([*(a_failure(n, cause) for n in range(1000)), *(numbered(n, "delivered") for n in range(7))])]
    many = [a_page([a_failure(n, cause) for n in range(k, k + 5)], ami=f"ami-{k:x}") for k in range(200)]
    other = a_page([a_failure(7, "It has no role.")], ami="ami-ff")

    def said(pages, **options):
        return as_printed(chain.from_iterable(promotion_text.troubles(pages, "here", NOW, **options)), width)

    for pages in (one, many):
        assert len(said(pages)) <= 12
    assert "running for -, value `dev`: 7 delivered, 1,000 failed" in said(one)
    both = said([*many, other])
    assert "The same holds for 199 more AMIs, 995 targets: ami-1, ami-2, ami-3 and 196 more." in " ".join(both)
    assert "200000000007 us-east-1: It has no role." in both
    assert sum("disabled." in line for line in said(many, wide=True)) == 1000


def test_parked_records_of_one_reason_are_said_once_with_what_lets_them_continue():
    """Three are named, and the command, which takes one record, stands on a line of its own, however long."""
    records = [{"record": f"delivery#{n}", "delivers": f"ami-1 to {n}", "why": "damaged"} for n in range(5)]

    found = promotion_text.parked([*records, {"record": "promotion#ami-1", "delivers": "", "why": "damaged"}])
    of_each = "Parked: delivery#0 (ami-1 to 0), delivery#1 (ami-1 to 1), delivery#2 (ami-1 to 2) and 2 more: damaged"
    after = "After you have repaired that (docs/operations/runbook.md#parked-records)"
    assert as_printed(found, 120) == [
        of_each,
        f"{after}, for each:",
        "`ami-promoter admin reconcile --unpark 'delivery#0'`",
        "Parked: promotion#ami-1: damaged",
        f"{after}:",
        "`ami-promoter admin reconcile --unpark 'promotion#ami-1'`",
    ]


def test_the_page_of_an_ami_says_what_lets_a_parked_delivery_continue():
    """The runbook's repair, with the AMI filled in."""
    shown = a_page([numbered(1, "copying", parked="delivery#1 has schema 99")])

    lines = as_printed(promotion_text.next_step(shown), 80)
    assert lines == [f"After you have repaired that: `ami-promoter retry {shown['ami']}`"]


def an_open_share(number=1, **changes):
    """Build a share that closes in two minutes, of a snapshot of a target's own number."""
    made = {"resource": "snapshot#snap-1", "account": f"{200000000000 + number}", "state": "open", "stays": False}
    made |= {"opened_at": moment(NOW - 60), "preexisting": False, "closes_at_the_latest": moment(NOW + 120)}
    made["not_closing"] = None
    return made | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, f"by {moment(NOW + 120)} at the latest"),
        ({"closes_at_the_latest": "-"}, "when no longer needed"),
        ({"closes_at_the_latest": "-", "stays": True}, "stays until it is withdrawn"),
        ({"state": "closing"}, "when two reads show it closed"),
    ],
)
def test_when_a_share_closes(changes, said):
    """In the list of what a drain waits for."""
    lines = as_printed([promotion_text.shares_table([an_open_share(**changes)], NOW, wide=False)], 120)

    assert lines[1].endswith(said)


def test_equal_shares_of_many_targets_are_one_row():
    """With --wide, and as long as they fit a screen, each has its own."""
    for number, wide, rows in ((24, False, 24), (25, False, 1), (25, True, 25)):
        found = [an_open_share(one) for one in range(number)]
        assert promotion_text.shares_table(found, NOW, wide=wide).row_count == rows
