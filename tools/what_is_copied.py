"""The page ``docs/reference/what-is-copied.md``, from the table of members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tools.image_members import Member, Treatment

INTRODUCTION = """\
# What is copied

<!-- Generated: tools/what_is_copied.py writes this page from tools/image_members.py (`make docs`). -->

*This page is generated from the code.*

For those who ask what a copy has of its source: every member that EC2's API has of an image and its snapshots, what the service does with it, and why ([invariant 9](../explanation/invariants.md#9-the-copy-is-the-image)).
A test compares the list with the API model of the AWS SDK that the service ships, and fails when the SDK has a further member or value.

| word | meaning |
|---|---|
| mapped | set on the copy, then compared with the source |
| compared | cannot be set; if EC2 does not give the copy the same value, the service removes the copy |
| refused | an image with this member, or with a value that is struck through, stops the promotion before anything is opened |
| dropped | not carried over, for the reason given |

If values are listed, any other value stops the promotion, because its meaning for a copy is not known.
"""

TITLES = {
    "Image": "The image (`DescribeImages`)",
    "ImageAttribute": "Its attributes (`DescribeImageAttribute`)",
    "Snapshot": "Its snapshots (`DescribeSnapshots`)",
}


def page(members: Mapping[str, Mapping[str, Member]]) -> str:
    """The whole page as text."""
    return "\n".join([INTRODUCTION, *(line for shape in members for line in _section(shape, members[shape]))])


def _section(shape: str, members: Mapping[str, Member]) -> Iterator[str]:
    yield f"## {TITLES.get(shape, f'`{shape}`')}\n"
    yield "| member | | why | values |"
    yield "|---|---|---|---|"
    order = list(Treatment)
    for member in sorted(members.values(), key=lambda member: (order.index(member.treatment), member.name)):
        values = ", ".join(f"~~`{v}`~~" if v in member.refused else f"`{v}`" for v in member.values)
        yield f"| `{member.name}` | {member.treatment} | {member.why} | {values} |"
    yield ""
