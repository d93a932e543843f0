"""What `plan` prints of few and of a thousand targets."""

from ami_promoter.promotions import plan_preview
from tests.ami_promoter.printing import as_printed


def a_target(number, **changes):
    one = {
        "account": str(200000000000 + number),
        "region": "us-east-1",
        "does": "new",
        "withdrawn_by": "",
        "approval": "none",
        "mode": "copy",
        "method": "image",
        "method_why": "large",
        "key": "alias/golden",
        "gib": 8,
        "dollars": {},
        "calls": {"CopyImage": 1},
        "faults": [],
    }
    return one | changes


def printed(targets, *, wide=False, blocked=()):
    """Return a plan's lines on a terminal of 120 columns, without the costs."""
    data = {"ami": "ami-1", "name": "golden", "value": "dev", "targets": targets, "blocked": blocked, "doubts": []}
    data |= {"faults": [], "waits_for": None, "checks": 3, "ready": not blocked}
    lines = as_printed(plan_preview.show(data, "here", wide=wide), 120)
    return lines[2 : lines.index("", 2)] + [line for line in lines if line.startswith("FAILED")]


def test_few_targets_have_a_row_each():
    """What holds for all of them is said once."""
    assert printed([a_target(n) for n in range(2)]) == [
        "TARGET                  DOES  HOW        KEY           GIB",
        "200000000000 us-east-1  new   CopyImage  alias/golden  8",
        "200000000001 us-east-1  new   CopyImage  alias/golden  8",
        "2 targets (200000000000 us-east-1, 200000000001 us-east-1): large",
    ]


def test_of_a_thousand_targets_equal_ones_share_a_row():
    """And equal faults a line; `--wide` shows each."""
    targets = [a_target(n, **{"does": "there already", "gib": 0} if n % 10 else {}) for n in range(1000)]
    blocked = [
        {"code": "conflict", "where": f"{300000000000 + n}", "what": "Two groups differ.", "cure": ""}
        for n in range(50)
    ]

    assert printed(targets, blocked=blocked) == [
        "TARGET                               DOES           HOW        KEY           GIB",
        "200000000000 us-east-1 and 99 more   new            CopyImage  alias/golden  800",
        "200000000001 us-east-1 and 899 more  there already  CopyImage  alias/golden",
        "With `--wide` each target has a row of its own.",
        "1,000 targets (200000000000 us-east-1, 200000000001 us-east-1, 200000000002 us-east-1 and 997 more): large",
        "FAILED conflict: 300000000000, 300000000001, 300000000002 and 47 more: Two groups differ.",
    ]
    wide = printed(targets, blocked=blocked, wide=True)
    assert len(wide) == 1 + 1000 + 1000 + 50
