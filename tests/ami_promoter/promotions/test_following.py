"""``status --watch`` and ``promote --wait`` look repeatedly until the promotion has ended."""

import pytest

from ami_promoter.hub.aws import HubError
from ami_promoter.promotions.following import A_POLL, MISSES, follow, states
from ami_promoter.verbs import TerminalClock
from tests.ami_promoter.shown import a_delivery


class FollowTime:
    """A clock that sleeping advances."""

    def __init__(self):
        self.at = 0.0
        self.clock = TerminalClock(self.sleep, lambda: self.at)

    def sleep(self, seconds):
        self.at += seconds


def looks(*answers):
    """Return the answers one by one; raise each that is a HubError."""
    left = list(answers)

    def look():
        answer = left.pop(0)
        if isinstance(answer, HubError):
            raise answer
        return answer

    return look


def test_it_looks_until_it_is_over(capsys):
    """A line for each change, and none without one."""
    time = FollowTime()

    seen = follow(looks("a", "a", "b", "c"), lambda it: it == "c", time.clock, changes=str)

    assert (seen, time.at) == ("c", 3 * A_POLL)
    assert capsys.readouterr().err.splitlines() == ["a", "b", "c"]


def test_it_gives_up_on_time():
    """To the second, with the last answer."""
    time = FollowTime()

    assert follow(lambda: "a", lambda _: False, time.clock, limit=100) == "a"
    assert time.at == pytest.approx(100)


def on_a_terminal(monkeypatch, columns=40):
    """Make rich take standard output for a terminal of this width, and ten lines."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(columns), "LINES": "10"}.items():
        monkeypatch.setenv(name, value)


COMMAND = "ami-promoter admin key-policy hub arn:aws:kms:us-east-1:111111111111:key/k"


def test_the_live_view_makes_room_for_the_page_that_follows(monkeypatch, capsys):
    """A frame crops what is wider than the terminal, such as a command; the page that is printed at the end does not.

    So nothing of the last frame stays on the screen.
    """
    on_a_terminal(monkeypatch)

    follow(looks("a", "b"), lambda it: it == "b", FollowTime().clock, show=lambda it: [f"{it}: `{COMMAND}`"] * 20)

    shown = capsys.readouterr().out
    assert shown.count("a:") < 10, "no more than the screen has lines"
    assert "..." in shown
    assert "b:" not in shown


def test_a_terminal_that_cannot_be_drawn_on_gets_a_line_for_each_change(monkeypatch, capsys):
    """Such as an editor's, or a pipeline's: rich would draw nothing before the end."""
    on_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")

    follow(looks("a", "b"), lambda it: it == "b", FollowTime().clock, show=lambda it: [it], changes=str)

    assert capsys.readouterr() == ("", "a\nb\n")


def test_a_view_that_is_stopped_stays(monkeypatch, capsys):
    """After Ctrl-C the last frame is what a person has; no page follows."""
    on_a_terminal(monkeypatch)

    def stop(_seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(lambda: "a", lambda _: False, TerminalClock(stop, lambda: 0.0), show=lambda it: [f"{it}: shown"])

    assert capsys.readouterr().out.count("a: shown") >= 1


def test_an_outage_of_a_minute_is_outlived(capsys):
    """Later looks may be refused a few times in a row; each is reported."""
    outage = [HubError("throttled.", "DynamoDB")] * MISSES

    assert follow(looks("a", *outage, "b"), lambda it: it == "b", FollowTime().clock) == "b"

    assert capsys.readouterr().err.splitlines() == ["DynamoDB: throttled. Looking again."] * MISSES


def test_what_is_refused_again_and_again_is_notified():
    """So is a refused first look: then the call itself is wrong."""
    refused = HubError("no.", "DynamoDB")

    with pytest.raises(HubError, match=r"\ADynamoDB: no\.\Z"):
        follow(looks("a", *[refused] * (MISSES + 1)), lambda _: False, FollowTime().clock)
    with pytest.raises(HubError, match=r"\ADynamoDB: no\.\Z"):
        follow(looks(refused), lambda _: False, FollowTime().clock)


def copying(account, *progress, state="copying"):
    """Build a delivery whose copies are so far."""
    return a_delivery(account, state, copies=[{"state": "pending", "progress": one} for one in progress])


def test_a_line_of_few_names_each_and_of_many_counts_them():
    """A pipeline's log stays readable with a thousand targets; what was not asked for is left out."""
    few = [copying("1", 40, None), a_delivery("2", "delivered")]
    many = [copying(str(n), n % 100) if n % 2 else a_delivery(str(n), "delivered") for n in range(1000)]

    assert states({"state": "running", "deliveries": few}) == "running: 1 us-east-1 copying (0%), 2 us-east-1 delivered"
    assert states({"state": "running", "deliveries": few}, ["2"]) == "running: 2 us-east-1 delivered"
    assert states({"state": "running", "deliveries": many}, ["5/us-east-1"]) == "running: 5 us-east-1 copying (5%)"
    assert states({"state": "running", "deliveries": many}) == (
        "running: 500 copying (the slowest copy at 1%), 500 delivered"
    )
    assert states({"state": "adjusting", "deliveries": []}) == "adjusting: no delivery"


def test_a_line_has_no_progress_of_copies_that_nobody_awaits():
    """A delivery that is stopping deletes its copies: theirs would be the slowest for good."""
    two = [copying("1", 5, state="stopping"), copying("2", 40)]
    assert states({"state": "running", "deliveries": two}) == (
        "running: 1 us-east-1 stopping, 2 us-east-1 copying (40%)"
    )
    many = [copying(str(n), 5, state="stopping" if n % 2 else "copying") for n in range(10)]
    assert states({"state": "running", "deliveries": many}) == (
        "running: 5 copying (the slowest copy at 5%), 5 stopping"
    )
