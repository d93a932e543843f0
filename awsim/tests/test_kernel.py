"""Virtual time, and the baton that lets one strand run."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from awsim import kernel
from awsim.kernel import Killed
from awsim.world import World
from platform_words import OPS, a_function, a_queue, feed, order, run, send, wait


def test_things_happen_at_their_time_and_in_order(world: World) -> None:
    """Due timers run in order of time, then in the order in which they were set; the clock shows their time."""
    seen = []
    for name, seconds in (("c", 2), ("a", 1), ("b", 1)):
        world.kernel.after(seconds, lambda name=name: seen.append((name, datetime.now(UTC) - world.start)), name)
    world.kernel.run(limit=timedelta(seconds=10))

    assert seen == [("a", timedelta(seconds=1)), ("b", timedelta(seconds=1)), ("c", timedelta(seconds=2))]
    assert datetime.now(UTC) == world.now == world.start + timedelta(seconds=10)


def test_run_stops_when_it_is_reported(world: World) -> None:
    """It returns True as soon as the condition holds, and False at the limit."""
    seen = []
    for seconds in (1, 2, 3):
        world.kernel.after(seconds, lambda: seen.append(1), "x")

    assert world.kernel.run(until=lambda: len(seen) == 2)
    assert world.now == world.start + timedelta(seconds=2)
    assert not world.kernel.run(until=lambda: len(seen) == 9, limit=timedelta(seconds=5))
    assert world.now == world.start + timedelta(seconds=7)


def test_a_condition_that_calls_aws_takes_no_time(world: World) -> None:
    """A condition that calls AWS does not advance the clock."""
    queues = world.client("sqs", OPS)
    world.kernel.run(until=lambda: queues.list_queues() and False, limit=timedelta(seconds=1))

    assert world.now == world.start + timedelta(seconds=1)


def test_a_cancelled_timer_never_happens(world: World) -> None:
    """A cancelled timer does not run."""
    seen = []
    world.kernel.after(1, lambda: seen.append(1), "x").cancel()
    wait(world, 2)

    assert seen == []


@pytest.mark.parametrize("until", [None, lambda: False])
def test_a_strand_that_keeps_the_baton_overtakes_nothing(world: World, until) -> None:
    """What is due at the time of its call happens before it, and it does not run beyond the end of the run."""
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, (world.now - world.start).total_seconds()))

    def strand() -> None:
        for _ in range(4):
            world.kernel.elapse(1)
            note("call")

    world.kernel.spawn(strand, "s")
    for seconds in (2, 2.5):
        world.kernel.after(seconds, lambda: note("timer"), "t")
    world.kernel.run(until, timedelta(seconds=3.7))
    assert seen == [("call", 1), ("timer", 2), ("call", 2), ("timer", 2.5), ("call", 3)]
    world.kernel.run(until, timedelta(seconds=1))
    assert seen[5:] == [("call", 4)]


@pytest.mark.parametrize("until", [None, lambda: False])
def test_a_killed_strand_makes_no_call_in_its_finally(world: World, until) -> None:
    """Whether or not it may keep the baton."""
    made: list[str] = []

    def strand() -> None:
        try:
            world.kernel.elapse(1)
            world.kernel.current.kill("enough")
            world.kernel.elapse(1)
        finally:
            world.kernel.elapse(1)
            made.append("call")

    world.kernel.spawn(strand, "s")
    world.kernel.run(until, timedelta(seconds=60))
    assert made == []


def test_until_is_asked_after_each_step_though_an_inner_run_failed(world: World) -> None:
    """The inner run asks nothing, so a strand may keep the baton there."""
    seen: list[int] = []

    def act() -> None:
        world.kernel.after(1, lambda: 1 / 0, "fails")
        with pytest.raises(ZeroDivisionError):
            world.kernel.run(limit=timedelta(days=1))

    def strand() -> None:
        for number in range(5):
            world.kernel.elapse(1)
            seen.append(number)

    world.kernel.after(1, act, "act")
    world.kernel.after(3, lambda: world.kernel.spawn(strand, "s"), "later")
    world.kernel.run(until=lambda: len(seen) == 2, limit=timedelta(seconds=60))
    assert seen == [0, 1]


def test_a_strand_of_many_calls_is_not_stuck(world: World, monkeypatch) -> None:
    """Together they take longer than one call may."""
    monkeypatch.setattr(kernel, "PATIENCE", 0.2)

    made: list[int] = []

    def strand() -> None:
        for number in range(10):
            world.kernel.elapse(1)
            threading.Event().wait(0.05)
            made.append(number)

    world.kernel.spawn(strand, "many calls")
    world.kernel.run(limit=timedelta(seconds=60))
    assert made == list(range(10))


def test_one_strand_runs_at_a_time_and_hands_over_at_each_call(world: World) -> None:
    """Two strands alternate by their virtual times; only one holds the baton."""
    seen: list[str] = []
    inside = threading.Lock()

    def strand(name: str, pace: float):
        def body() -> None:
            for _ in range(3):
                assert inside.acquire(blocking=False)
                seen.append(name)
                inside.release()
                world.kernel.elapse(pace)

        return body

    world.kernel.spawn(strand("a", 1), "a")
    world.kernel.spawn(strand("b", 1.5), "b", delay=0.1)
    wait(world, 10)

    assert seen == ["a", "b", "a", "b", "a", "b"]


def test_a_killed_strand_is_reported_at_every_call(world: World) -> None:
    """After the kill each call that it tries raises, and its end is reported once."""
    deaths: list[str] = []
    ends: list[int] = []

    def body() -> None:
        for _ in range(3):
            try:
                world.kernel.elapse(10)
            except Killed as death:
                deaths.append(str(death))

    strand = world.kernel.spawn(body, "victim")
    strand.ended = lambda: ends.append(1)
    world.kernel.after(5, lambda: strand.kill("enough"), "killer")
    wait(world, 6)

    assert deaths == ["enough"] * 3
    assert (strand.done, ends) == (True, [1])


def test_an_error_of_the_sandbox_in_a_strand_comes_out_in_the_driver(world: World) -> None:
    """An exception in a strand is raised in the driver."""

    def body() -> None:
        raise LookupError("bug")

    world.kernel.spawn(body, "x")
    with pytest.raises(LookupError, match="bug"):
        wait(world, 1)


def test_sleeping_takes_virtual_time_only(world: World) -> None:
    """``time.sleep``, in a function and in the driver, advances the virtual clock and takes no real time."""
    real = time.perf_counter()
    function = a_function(world, timeout=900)
    invocation = run(world, function, ["sleep", 300])
    time.sleep(1000)

    assert invocation.outcome == "ok"
    assert world.now - world.start > timedelta(seconds=1300)
    assert time.perf_counter() - real < 20


def test_no_thread_outlives_its_world() -> None:
    """At its end a simulator ends every waiting strand."""
    before = threading.active_count()
    with World() as world:
        world.kernel.spawn(lambda: world.kernel.elapse(1000), "waits")
        wait(world, 1)
        assert threading.active_count() == before + 1

    assert threading.active_count() == before


def _story(seed: int) -> list[tuple[object, ...]]:
    with World(seed) as world:
        world.injections.double_events()
        world.injections.shuffle_events(30)
        queue, function = a_queue(world, "q.fifo", VisibilityTimeout="180"), a_function(world)
        other = a_queue(world, "other")
        feed(world, queue, function, concurrency=3)
        sending = ["call", "sqs", "send_message", {"QueueUrl": other.url, "MessageBody": "x"}]
        for number in range(6):
            send(world, queue, order(sending, sending, ["fail"]), group=str(number % 4), key=str(number))
        wait(world, 1000)
        return [(call.at, call.operation, call.invocation) for call in world.calls]


def test_the_same_seed_gives_the_same_run() -> None:
    """Time, order and ids of all calls repeat with the seed, and differ with another."""
    assert _story(1) == _story(1)
    assert _story(1) != _story(2)


def test_handing_over_is_cheap(world: World) -> None:
    """In the median of a few tries it takes far less than a fifth of a millisecond of real time."""

    def body() -> None:
        for _ in range(1000):
            world.kernel.elapse(0.03)

    times = []
    for _ in range(5):
        world.kernel.spawn(body, "x")
        began = time.perf_counter()
        wait(world, 60)
        times.append(time.perf_counter() - began)

    assert sorted(times)[2] / 1000 < 0.0002


def in_threads(world: World, seconds: list[float]) -> tuple[list[tuple[float, float]], list[str]]:
    """Let a strand's threads take this many seconds each, and the strand continue after them."""
    spans: list[tuple[float, float]] = []
    deaths: list[str] = []

    def now() -> float:
        return (world.now - world.start).total_seconds()

    def call(span: float) -> None:
        with world.kernel.turn():
            begun = now()
            world.kernel.elapse(span)
            spans.append((begun, now()))

    def body() -> None:
        try:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(call, seconds))
            time.sleep(1)
            spans.append((now(), now()))
        except Killed as death:
            deaths.append(str(death))
            raise

    strand = world.kernel.spawn(body, "many")
    world.kernel.after(100, lambda: strand.kill("enough"), "killer")
    wait(world, 200)
    assert strand.done
    return spans, deaths


def test_the_threads_of_a_function_take_turns(world: World) -> None:
    """One call at a time, each with its virtual time, while other strands run; then the function continues."""
    other: list[int] = []
    world.kernel.after(2, lambda: other.append(1), "other")
    spans, deaths = in_threads(world, [3.0] * 6)

    assert spans == [*((3.0 * n, 3.0 * n + 3) for n in range(6)), (19.0, 19.0)]
    assert (other, deaths) == ([1], [])


def test_a_function_killed_while_its_threads_call_makes_no_other_call(world: World) -> None:
    """The calling thread, the other threads and the function are all stopped."""
    spans, deaths = in_threads(world, [30.0] * 6)

    assert [end for _, end in spans] == [30.0, 60.0, 90.0]
    assert deaths == ["enough"]
