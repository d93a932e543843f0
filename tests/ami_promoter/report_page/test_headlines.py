"""What a manager asks first: in how many accounts the newest image is current, and where it failed."""

from ami_promoter.report_page.current import families, headlines
from chalicelib.delivery.outcomes import OUTCOMES
from tests.ami_promoter.shown import a_delivery, a_page


def promoted(ami, name, states, *, recall=None, family="", since="2026-01-02T00:00:00Z"):
    """A promotion with one delivery for each account."""
    deliveries = [a_delivery(account, state, since=since, family=family) for account, state in states.items()]
    return a_page(deliveries, ami=ami, name=name, recall=recall)


def lines(*pages):
    """The headlines of promotions, of which the newest comes first."""
    return [str(one) for one in headlines(pages, families(pages))]


def test_the_line_counts_accounts_of_the_newest_image():
    """An account that has only an older one counts, and is behind unless its delivery failed or is under way."""
    old = dict.fromkeys("12345", "delivered")
    new = {**dict.fromkeys("12", "delivered"), "3": "failed", "4": "copying"}
    pages = (
        promoted("ami-2", "al2023-base-2026.11", new, family="al2023-base"),
        promoted("ami-1", "al2023-base-2026.10", old, family="al2023-base", since="2026-01-01T00:00:00Z"),
    )

    expected = "al2023-base 2026.11: current in 2 of 5 accounts; 1 failed, 1 under way, 1 behind"
    assert lines(*pages) == [expected]


def test_all_is_well_in_few_words():
    """Nothing is said of what is not."""
    assert lines(promoted("ami-1", "golden-2026-01", dict.fromkeys("12", "delivered"))) == [
        "golden 2026-01: current in 2 of 2 accounts"
    ]


def test_a_newer_image_that_arrived_nowhere_is_said_too():
    """Else a family would look well while every delivery of its newest image fails."""
    old = promoted("ami-1", "golden-2026-01", {"1": "delivered"}, since="2026-01-01T00:00:00Z")
    failed = promoted("ami-2", "golden-2026-02", {"1": "failed"})

    assert lines(failed, old) == [
        "golden 2026-02: current in 0 of 1 account; 1 failed",
        "golden 2026-01: current in 1 of 1 account",
    ]
    assert lines(failed) == ["golden 2026-02: current in 0 of 1 account; 1 failed"]


def test_whom_nobody_promotes_any_more_does_not_count():
    """A recalled image is no newest one; a cancelled or withdrawn delivery is no target."""
    old = promoted("ami-1", "golden-2026-01", {"1": "delivered"}, since="2026-01-01T00:00:00Z")
    recalled = promoted("ami-2", "golden-2026-02", {"1": "recalled"}, recall={"by": "jane"})
    cancelled = promoted("ami-3", "golden-2026-03", {"1": "cancelled", "2": "withdrawn"})

    assert lines(cancelled, recalled, old) == ["golden 2026-01: current in 1 of 1 account"]
    assert {"cancelled", "withdrawn", "recalled"} < set(OUTCOMES)


def test_what_failed_comes_first():
    """Then by name."""
    pages = (
        promoted("ami-1", "a-v1.0.0", {"1": "delivered"}),
        promoted("ami-2", "b-v1.0.0", {"1": "failed"}),
        promoted("ami-3", "c", {"1": "delivered"}),
    )
    assert [line.split(":")[0] for line in lines(*pages)] == ["b v1.0.0", "a v1.0.0", "c"]
