"""When a wave opens: a function of what the file says and of how the deliveries before it ended."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.delivery.tracked import TrackedDelivery
from chalicelib.delivery.wave_progress import WaveProgress
from chalicelib.engine.faults import Fault
from chalicelib.promotion import evolving, wave_counts
from chalicelib.promotion.wanted import WantedTargets
from chalicelib.sharing.entitlement import Entitlement
from chalicelib.targets.applied_file import Target
from chalicelib.targets.waves import FileWaves, Wave

A, B, C = (f"20000000000{number}" for number in (1, 2, 3))
REGION = "eu-central-1"
WAVE = Wave("dev", 600, 1)
PROMOTION = replace(evolving.started("ami-0a", "999999999999", REGION, 0), generation=3, passed_generation=3)
SUCCEEDED = ("delivered", "shared", "expired")
FAULT = Fault("organization-conflict", f"account {B}", "Its groups differ.", "Make them agree.")
ENDED = (*SUCCEEDED, "failed")
NEITHER = ("cancelled", "withdrawn", "recalled")


def one(account, state, ended_at=0, **more):
    """A tracked delivery of this generation."""
    return TrackedDelivery(account, account, REGION, 1, state, "", 3, ended_at=ended_at, **more)


def progress(*tracked, missing=(), without=(), wave=WAVE, promotion=PROMOTION, **named) -> WaveProgress:
    """How far prod's wave is after these deliveries to dev. ``missing``: accounts whose deliveries are to begin.

    ``without``: accounts that are not wanted.
    """
    targets = {f"{account}/{REGION}": Target(account, REGION) for account in (A, B, C) if account not in without}
    file = FileWaves({"prod": wave}, {"dev": (A, B), "prod": (C,)})
    wanted = WantedTargets("dev prod", Entitlement(targets, **named), waves=file)
    begin = [targets[f"{account}/{REGION}"] for account in missing]
    (found,) = wave_counts.counts(wanted, tracked, begin, promotion)
    return found.progress


@pytest.mark.parametrize("state", SUCCEEDED)
def test_it_opens_a_soak_after_the_last_end(state):
    """In whatever order they ended."""
    for first, last in permutations((100, 200)):
        assert progress(one(A, state, first), one(B, state, last)) == WaveProgress(opens_at=800)


def test_while_one_runs_or_is_to_begin_it_waits():
    """A failure that begins again has not ended, and what was never tracked has not begun."""
    assert progress(one(A, "delivered", 100), one(B, "running")) == WaveProgress()
    assert progress(one(A, "delivered", 100), one(B, "failed", 100), missing=[B]) == WaveProgress()
    fresh = replace(PROMOTION, passed_generation=2)
    assert progress(one(A, "delivered", 100), missing=[B], promotion=fresh) == WaveProgress()
    assert progress() == WaveProgress()


def test_what_is_to_begin_in_another_group_holds_up_no_wave():
    """One that waits for the wave itself is retried while promotions are paused."""
    before = one(A, "delivered", 100), one(B, "delivered", 100)
    assert progress(*before, one(C, "failed", 50), missing=[C]) == WaveProgress(opens_at=700)


def test_more_failures_than_may_be_stop_it_and_each_stop_has_a_name():
    """Another failure, or another try that failed, is another stop."""
    may = progress(one(A, "delivered", 100), one(B, "failed", 200))
    assert may == WaveProgress(opens_at=800)
    strict = replace(WAVE, most_failed=0)
    stopped = progress(one(A, "delivered", 100), one(B, "failed", 200), wave=strict)
    assert stopped.stopped
    assert not stopped.opens_at
    again = progress(one(A, "delivered", 100), replace(one(B, "failed", 900), episode=2), wave=strict)
    assert again.stopped not in ("", stopped.stopped)
    assert progress(one(A, "failed", 100), wave=WAVE).stopped, "none succeeded, though one may fail"


def test_a_failure_at_a_target_that_is_wanted_no_longer_counts_for_neither_side():
    """One at an account whose settings conflict counts as before: nobody has decided to do without it."""
    strict, some = replace(WAVE, most_failed=0), (one(A, "delivered", 100), one(B, "failed", 500))
    assert progress(*some, wave=strict, without=[B]) == WaveProgress(opens_at=700)
    assert progress(*some, wave=strict, without=[B], blocked={B: FAULT}).stopped


@pytest.mark.parametrize("state", NEITHER)
def test_what_ended_otherwise_counts_for_neither_side(state):
    """Unless it begins again, as it is still wanted."""
    assert progress(one(A, "delivered", 100), one(B, state, 500)) == WaveProgress(opens_at=700)
    assert progress(one(A, state, 100), one(B, state, 100)) == WaveProgress()
    assert progress(one(A, "delivered", 100), one(B, state, 500), missing=[B]) == WaveProgress()


def test_who_joined_later_counts_from_the_next_generation():
    """Running, failed or about to begin: it holds up nothing of the generation in which it joined."""
    first = one(A, "delivered", 100)
    for state in ("running", *ENDED):
        assert progress(first, one(B, state, 500, joined=3)) == WaveProgress(opens_at=700)
    assert progress(first, missing=[B]) == WaveProgress(opens_at=700), "it is about to join"
    assert progress(first, one(B, "running", joined=2)) == WaveProgress()


def test_what_ended_before_times_were_kept_has_soaked():
    """An upgrade leaves nobody waiting."""
    assert progress(one(A, "delivered"), wave=Wave("dev")) == WaveProgress(opens_at=1)


@given(
    states=st.lists(st.sampled_from(("running", *ENDED, *NEITHER)), min_size=2, max_size=2),
    times=st.lists(st.integers(0, 10**6), min_size=2, max_size=2),
    most=st.integers(0, 2),
)
def test_it_never_opens_while_it_is_stopped_or_somebody_runs(states, times, most):
    """Whatever has happened."""
    found = progress(*map(one, (A, B), states, times), wave=Wave("dev", 60, most))
    bad = states.count("failed") > most or not {*SUCCEEDED} & set(states) or "running" in states
    assert bool(found.opens_at) == (not bad)
    assert not (found.opens_at and found.stopped)
    if found.opens_at:
        ends = [at for state, at in zip(states, times, strict=True) if state in ENDED]
        assert found.opens_at == max(ends) + 60
