"""Names of accounts beside their ids."""

import io

import pytest
from rich.console import Console

from ami_promoter.report_page.html import document, el
from ami_promoter.terminal.account_names import naming, with_names
from ami_promoter.terminal.output import show, table
from tests.ami_promoter.printing import as_printed

DEV, OTHER = "222222222222", "333333333333"
NAMES = {DEV: "dev"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{DEV} eu-west-1: failed.", f"dev ({DEV}) eu-west-1: failed."),
        (f"In account {DEV}, us-east-1.", f"In account dev ({DEV}), us-east-1."),
        (f"2 targets ({DEV} us-east-1, {OTHER} us-east-1)", f"2 targets (dev ({DEV}) us-east-1, {OTHER} us-east-1)"),
        (f"to {DEV}.", f"to dev ({DEV})."),
    ],
)
def test_a_person_reads_a_name_beside_the_id(text, said):
    """The id stays, as it can be copied; an account without a name has its id alone."""
    with naming(lambda: NAMES):
        assert with_names(text) == said
    assert with_names(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"`ami-promoter retry ami-0123456789abcdef0 --account {DEV}`",
        f"Then: ami-promoter retry ami-0123456789abcdef0 --account {DEV}",
        f"aws sts assume-role --role-arn arn:aws:iam::{DEV}:role/x",
        f"the value `dev {DEV}`",
        f"arn:aws:kms:eu-west-1:{DEV}:key/k",
        f"{DEV}/eu-west-1",
        f'"{DEV}": {{}}',
        f"dev ({DEV})",
        f"{DEV}3",
    ],
)
def test_what_is_copied_or_has_a_name_stays_as_it_is(text):
    """A command with a name in it would not run."""
    with naming(lambda: NAMES):
        assert with_names(text) == text


def test_names_are_asked_for_only_where_an_id_is_printed():
    """Reading them costs a call."""
    asked = []
    with naming(lambda: asked.append(1) or NAMES):
        with_names("ami-0123456789abcdef0 is delivered.")
        assert asked == []


def test_a_table_folds_a_column_with_a_name():
    """Nothing is cropped at 80 columns."""
    rows = [(f"{DEV} eu-central-1", "delivered", "x" * 50)]
    with naming(lambda: {DEV: "the team of the accounts for tests"}):
        lines = as_printed([table(("TARGET", "STATE", "AMI"), rows)], 80)

    assert all(len(line) <= 80 for line in lines)
    assert f"({DEV})" in " ".join(lines)


def test_a_name_moves_no_cursor():
    """Who may write the table's items chooses a name, without the checks of the targets file."""
    out = io.StringIO()
    with naming(lambda: {DEV: "dev\x1b[2J\u202e"}):
        show([f"It goes to {DEV}.", table(("TARGET",), [(f"{DEV} eu-west-1",)])], Console(file=out, width=80))

    assert out.getvalue().count(f"dev\\x1b[2J\\u202e ({DEV})") == 2
    assert out.getvalue().replace("\n", "").isprintable()


def test_the_page_has_names_in_its_text_and_ids_in_its_commands():
    """As on a terminal."""
    with naming(lambda: NAMES):
        made = el("html", el("style"), el("td", f"{DEV} eu-west-1"), el("code", f"--account {DEV}"))

    assert f"<td>dev ({DEV}) eu-west-1</td><code>--account {DEV}</code>" in document(made, "")
