"""EventBridge's patterns, case by case."""

import pytest

from awsim import patterns

EVENT = {
    "source": "aws.ec2",
    "detail-type": "EBS Snapshot Notification",
    "resources": ["arn:a", "arn:b"],
    "detail": {
        "event": "copySnapshot",
        "size": 8,
        "price": 2.5,
        "encrypted": True,
        "cause": "",
        "nothing": None,
        "tags": [{"key": "team", "value": "a"}, {"key": "env", "value": "b"}],
        "empty": [],
    },
}

MATCHES = [
    {"source": ["aws.ec2"]},
    {"source": ["aws.ebs", "aws.ec2"]},
    {"resources": ["arn:b"]},
    {"detail": {"event": ["copySnapshot"], "size": [8]}},
    {"detail": {"encrypted": [True], "nothing": [None], "cause": [""]}},
    {"source": [{"prefix": "aws."}]},
    {"source": [{"prefix": {"equals-ignore-case": "AWS."}}]},
    {"source": [{"suffix": ".ec2"}]},
    {"source": [{"equals-ignore-case": "AWS.EC2"}]},
    {"source": [{"wildcard": "a*.e*2"}]},
    {"source": [{"anything-but": "aws.s3"}]},
    {"source": [{"anything-but": ["aws.s3", "aws.sns"]}]},
    {"source": [{"anything-but": {"prefix": "ours"}}]},
    {"source": [{"prefix": ""}]},
    {"detail": {"size": [{"anything-but": {"prefix": "8"}}], "nothing": [{"anything-but": {"suffix": ["x"]}}]}},
    {"detail": {"size": [{"numeric": [">", 7, "<=", 8]}]}},
    {"detail": {"price": [{"numeric": ["=", 2.5]}]}},
    {"detail": {"event": [{"exists": True}], "absent": [{"exists": False}]}},
    {"absent": {"deep": [{"exists": False}]}},
    {"detail": {"empty": [{"exists": False}]}},
    {"detail": {"tags": {"key": ["team"], "value": ["a"]}}},
    {"$or": [{"source": ["ours"]}, {"detail": {"size": [8]}}]},
    {"source": ["aws.ec2"], "detail": {"$or": [{"size": [1]}, {"event": [{"prefix": "copy"}]}]}},
]

MISSES = [
    {"source": ["ec2"]},
    {"source": ["aws.ec2"], "detail": {"event": ["createSnapshot"]}},
    {"detail": {"size": ["8"]}},
    {"detail": {"encrypted": [1]}},
    {"detail": {"size": [True]}},
    {"detail": {"nothing": [""]}},
    {"absent": ["x"]},
    {"absent": {"deep": ["x"]}},
    {"absent": [{"anything-but": "x"}]},
    {"source": [{"anything-but": ["aws.ec2"]}]},
    {"detail": {"size": [{"numeric": [">", 8]}]}},
    {"detail": {"event": [{"numeric": [">", 8]}]}},
    {"detail": [{"exists": True}]},
    {"detail": {"event": [{"exists": False}]}},
    {"detail": {"tags": {"key": ["team"], "value": ["b"]}}},
    {"$or": [{"source": ["ours"]}, {"detail": {"size": [9]}}]},
]


@pytest.mark.parametrize("pattern", MATCHES, ids=str)
def test_matches(pattern: dict) -> None:
    """AWS's content filters match this event."""
    assert patterns.matches(pattern, EVENT)


@pytest.mark.parametrize("pattern", MISSES, ids=str)
def test_misses(pattern: dict) -> None:
    """AWS's content filters do not match this event."""
    assert not patterns.matches(pattern, EVENT)


@pytest.mark.parametrize("pattern", MATCHES + MISSES, ids=str)
def test_every_pattern_of_these_is_well_formed(pattern: dict) -> None:
    """Matching or not, each is valid."""
    assert patterns.problem_of(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ({}, "the pattern"),
        ({"source": "aws.ec2"}, "source"),
        ({"detail": {"event": "x"}}, "detail.event"),
        ({"detail": {}}, "detail"),
        ({"source": [{"perfix": "x"}]}, "perfix"),
        ({"source": [["x"]]}, "source"),
        ({"$or": [{"source": "x"}]}, "source"),
        ({"resources": []}, "resources"),
        ({"source": [{"prefix": ["aws."]}]}, "source"),
        ({"source": [{"suffix": 2}]}, "source"),
        ({"source": [{"equals-ignore-case": {"prefix": "AWS"}}]}, "source"),
        ({"source": [{"wildcard": "a**2"}]}, "source"),
        ({"source": [{"anything-but": None}]}, "source"),
        ({"source": [{"anything-but": ["x", None]}]}, "source"),
        ({"source": [{"anything-but": {"prefix": ""}}]}, "source"),
        ({"source": [{"anything-but": {"prefix": {"equals-ignore-case": "x"}}}]}, "source"),
        ({"source": [{"anything-but": {"wildcard": 2}}]}, "source"),
        ({"source": [{"exists": "true"}]}, "source"),
        ({"detail": {"size": [{"numeric": 8}]}}, "detail.size"),
        ({"detail": {"size": [{"numeric": [">", 7, "<"]}]}}, "detail.size"),
        ({"detail": {"size": [{"numeric": [">", 7, ">", 8]}]}}, "detail.size"),
        ({"detail": {"size": [{"numeric": [">", "7"]}]}}, "detail.size"),
    ],
)
def test_a_problem_names_its_place(pattern: dict, place: str) -> None:
    """The message says where the pattern is wrong. AWS was recorded to refuse such patterns, too."""
    assert place in (patterns.problem_of(pattern) or "")
