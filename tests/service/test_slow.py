"""A slow AWS: calls of 0.1 to 2 s; functions are killed at their limit, after a slice, or after any number of calls."""

import pytest

from chalicelib.engine.budget import FOR_LISTS
from tests.service import scale
from tests.service.arrivals import NOTHING_COMES
from tests.service.slow import FUNCTIONS, LIMIT, LIMITS, SlowGate, SlowHub
from tests.service.slow_cases import AMI, LONGEST, MODES, SLICE, SOME_KILLS, SlowCase, all_ended, every_kill

pytestmark = pytest.mark.thorough

CASES = list(every_kill(["snapshots"]))


@pytest.mark.parametrize("mode", MODES)
def test_all_ends_however_slow_the_calls_are(mode):
    """Calls of up to two seconds, in every mode; some invocations are killed at their limit, and no work is lost."""
    for seed in range(4):
        SlowCase(mode, seed).play()


def test_a_function_is_killed_at_its_limit():
    """The harness works: calls of five seconds do not all fit into an invocation, which asks for more time."""
    hub = SlowHub(gate=SlowGate(least=4.0, most=6.0), watchful=False)
    hub.cloud.make_image(AMI, {"snap-00": True})
    hub.cloud.tag(AMI, "default")
    assert hub.wait(3600).gate.killed["share-worker limit"] > 0
    assert LIMIT == LIMITS["worker"] - FOR_LISTS == 30


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("functions", [*((one,) for one in FUNCTIONS), FUNCTIONS], ids="+".join)
def test_all_ends_where_every_invocation_is_killed_right_after_one_slice(mode, functions):
    """One function, or all of them, killed after each first write of a result."""
    hub = SlowCase(mode, one_slice=frozenset(functions)).play()
    assert sum(hub.gate.killed.values()) > 0


@pytest.mark.parametrize("function", FUNCTIONS)
def test_all_ends_where_a_function_is_killed_after_so_many_calls_each_time(function):
    """Two targets, each number of calls up to sixty: always if a slice fits in, else a number of times."""
    cases = [case for case in CASES if function in dict(case.killed_after)]
    assert len(cases) == 60
    for case in cases[: SLICE[function] + 6] + cases[SLICE[function] + 6 :: 5]:
        try:
            case.play()
        except AssertionError as failure:
            raise AssertionError(f"{case}: {failure}") from failure


@pytest.mark.parametrize(("function", "calls"), [("worker", 12)])
def test_nothing_stays_open_where_a_function_can_never_finish_a_slice(function, calls):
    """Every invocation is killed before it writes a result: what was opened closes at its last closing time."""
    hub = SlowCase(killed_after=((function, calls),)).hub()
    assert not hub.wait(3 * 24 * 3600).cloud.permissions
    assert not hub.cloud.grants


def test_some_kills_are_more_than_a_message_has_tries():
    """The sweep finds a record whose message went to the dead letters."""
    hub = SlowCase(killed_after=(("worker", 3),), most_kills=SOME_KILLS).hub()
    assert hub.wait(LONGEST).groups.dead
    assert set(hub.outcomes().values()) == {"delivered"}


@pytest.mark.parametrize("mode", MODES)
def test_the_sweep_alone_is_enough_where_every_invocation_is_killed_right_after_one_slice(mode):
    """Every event is lost, and every wake but the sweep's own; AWS is slow, and no function lives longer."""
    hub = SlowCase(mode, one_slice=frozenset(FUNCTIONS)).hub(arrivals=NOTHING_COMES)
    hub.wait(LONGEST)

    all_ended(hub, mode)
    assert {kill.split()[0] for kill in hub.gate.killed} >= {"worker", "share-worker", "sweep", "discover"}


@pytest.mark.parametrize(
    "case", list(scale.cases(scale.SAMPLE)), ids=lambda case: f"{case.what}{', one slice' * bool(case.one_slice)}"
)
def test_many_come_to_their_end_on_a_slow_aws(case):
    """Calls take up to two seconds; functions are killed at their limit, or right after each slice."""
    case.play()
