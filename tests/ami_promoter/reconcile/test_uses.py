"""What ``where --use`` says of targets that could not be asked."""

from ami_promoter.reconcile.uses import lines
from tests.ami_promoter.printing import as_printed


def test_words_that_are_about_one_of_several_targets_say_about_which():
    """The refusal names the role of one account; the cure is the same for all."""
    uses = [
        {
            "account": account,
            "region": "us-east-1",
            "image": "ami-1",
            "named_by": [],
            "fault": {"code": "x", "what": f"The role of {account} may not.", "cure": "Update the stack."},
        }
        for account in ("111111111111", "222222222222")
    ]

    said = " ".join(as_printed(lines(uses), 200))

    assert "not known. In 111111111111 us-east-1, for example: The role of 111111111111 may not." in said
    assert "not known. The role of 222222222222 may not." in " ".join(as_printed(lines(uses[1:]), 200))
