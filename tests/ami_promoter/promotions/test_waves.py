"""How waves are drawn: in their order, with what each waits for."""

from dataclasses import replace

from ami_promoter.promotions import waves
from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.promotion.evolving import started
from chalicelib.targets.waves import FileWaves, Wave

A, B, C, D = (f"20000000000{number}" for number in (1, 2, 3, 4))
NOW = 1_800_000_000
QA, PROD = Wave("dev"), Wave("qa", 86400, 1)
FILE = FileWaves({"prod": PROD, "qa": QA, "eu": PROD}, {"dev": (A, B), "qa": (C,), "prod": (D,), "eu": ()})


def tracked(account, state, delivery="d"):
    """A tracked delivery of an account."""
    return TrackedDelivery(f"{delivery}{account}", account, "eu-central-1", 1, state)


def drawn(progress, *deliveries, states=None):
    """The lines about a promotion whose waves are so far."""
    promotion = replace(started("ami-0a", "999999999999", "eu-central-1", NOW), waves=progress, generation=NOW)
    return list(waves.lines(waves.of_promotion(promotion, FILE, deliveries, states or {}, NOW), "ami-0a"))


def test_a_stopped_wave_names_what_failed_and_the_command():
    """The wave after it waits; the earlier one comes first, whatever their names."""
    some = (tracked(A, "failed"), tracked(B, "delivered"), tracked(C, "running"), tracked(D, "running"))
    states = {f"d{C}": "awaiting-wave", f"d{D}": "awaiting-wave"}
    assert drawn({FILE.name(QA): WaveProgress(stopped="x")}, *some, states=states) == [
        "wave dev -> qa: stopped: 1 of `dev` failed, 0 may; 1 target waits",
        f"  failed: {A} eu-central-1. After you have repaired that: `ami-promoter retry ami-0a`",
        "wave qa -> eu, prod: waits for 1 delivery to `qa`; 1 target waits",
    ]


def test_a_wave_is_open_or_soaks():
    """It says when it opens."""
    some = (tracked(A, "delivered"), tracked(B, "delivered"), tracked(C, "delivered"), tracked(D, "running"))
    progress = {FILE.name(QA): WaveProgress(NOW - 5), FILE.name(PROD): WaveProgress(NOW + 86400)}
    assert drawn(progress, *some, states={f"d{D}": "awaiting-wave"}) == [
        "wave dev -> qa: open",
        "wave qa -> eu, prod: opens at 2027-01-16T08:00:00Z; 1 target waits",
    ]


def test_who_joined_late_is_not_listed_among_those_that_stop_the_wave():
    """The service does not count it, either, whether it runs or has failed."""
    some = (tracked(A, "failed"), replace(tracked(B, "failed"), joined=NOW), tracked(C, "running"))
    _, failed, *_ = drawn({FILE.name(QA): WaveProgress(stopped="x")}, *some, states={f"d{C}": "awaiting-wave"})
    assert failed.startswith(f"  failed: {A} eu-central-1. ")


def test_where_nothing_succeeded_it_says_so():
    """More may fail, but nobody has tried the AMI."""
    file = FileWaves({"prod": Wave("dev", 0, 5)}, {"dev": (A,), "prod": (B,)})
    promotion = started("ami-0a", "999999999999", "eu-central-1", NOW)
    progress = {file.name(Wave("dev", 0, 5)): WaveProgress(stopped="x")}
    promotion = replace(promotion, waves=progress, generation=NOW)
    some = (tracked(A, "failed"), tracked(B, "running"))
    first, *_ = waves.lines(waves.of_promotion(promotion, file, some, {}, NOW), "ami-0a")
    assert first == "wave dev -> prod: stopped: 1 of `dev` failed, none succeeded"


def test_a_plan_draws_them_too():
    """With the number of targets in each, also in a circle that units have made."""
    places = [f"{account}/eu-central-1" for account in (A, B, C, D)]
    assert list(waves.planned_lines(waves.planned(FILE, (A, B, C, D), places))) == [
        "wave dev -> qa: 1 target begins after `dev`, if none of it failed",
        "wave qa -> eu, prod: 1 target begins 24h after `qa`, if at most 1 of it failed",
    ]
    assert waves.planned(FileWaves({}, {"dev": (A,)}), (A,), places) == []
