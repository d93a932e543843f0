"""AWS Organizations' answers: a page may be empty with more to come, and an answer may name no parent."""

import pytest
from botocore.exceptions import ClientError

from chalicelib.engine.aws.refusals import as_refusal
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.targets.aws.organizations import AwsOrganization
from chalicelib.targets.departures import Whereabouts
from chalicelib.targets.organization import Organization

ACCOUNT, UNIT, ROOT = "222222222222", "ou-ab12-11111111", "r-ab12"
READ_ROLE = "arn:aws:iam::900000000000:role/AmiOrganizationRead"


class Parents:
    """Organizations, whose ListParents answers with these pages for each child."""

    def __init__(self, pages):
        self._pages = pages

    def own(self, _service):
        return self

    def describe_organization(self):
        return {"Organization": {"Id": "o-a1b2c3d4e5", "Arn": "arn:aws:organizations::1:organization/o-a1b2c3d4e5"}}

    def describe_account(self, **_):
        return {"Account": {"Id": ACCOUNT, "State": "ACTIVE"}}

    def list_roots(self):
        return {"Roots": [{"Id": ROOT}]}

    def list_parents(self, *, ChildId, NextToken="0"):  # noqa: N803 - the API's names
        number, pages = int(NextToken), self._pages[ChildId]
        more = {"NextToken": str(number + 1)} if number + 1 < len(pages) else {}
        return {"Parents": [{"Id": one} for one in pages[number]], **more}


def an_organization(asked=Parents, named="o-a1b2c3d4e5", **pages):
    """Make the reader of an account in an OU below the root."""
    organization = Organization(id=named, read_role="", external_id="")
    return AwsOrganization(
        asked({ACCOUNT: [[UNIT]], UNIT: [[ROOT]], **pages}), organization, "1" * 12, "us-east-1", "it"
    )


class OfAnother(Parents):
    """Organizations, which shows the account's path in an organization that the file does not name."""

    def describe_account(self, **_):
        return {"Account": {"Id": ACCOUNT, "State": "ACTIVE", "Paths": [f"o-zzzzzzzzzz/r-zz99/ou-zz99-1/{ACCOUNT}/"]}}


class HasLeft(Parents):
    """Organizations, which the account has left."""

    def describe_account(self, **_):
        raise ClientError({"Error": {"Code": "AccountNotFoundException"}}, "DescribeAccount")


class OuDeleted(Parents):
    """Organizations, where somebody moves the account and deletes its OU between two calls."""

    def list_parents(self, *, ChildId, NextToken="0"):  # noqa: N803 - the API's names
        if ChildId == UNIT:
            raise ClientError({"Error": {"Code": "ChildNotFoundException"}}, "ListParents")
        return super().list_parents(ChildId=ChildId, NextToken=NextToken)


def test_an_empty_page_with_more_to_come_is_not_the_end():
    """The parent is on the second page."""
    asked = an_organization(**{ACCOUNT: [[], [UNIT]]})

    assert asked.whereabouts(ACCOUNT) == Whereabouts("ACTIVE", (UNIT, ROOT))


@pytest.mark.parametrize(("asked", "code"), [(Parents, "organization-unreadable"), (OuDeleted, "aws-throttled")])
def test_no_parent_at_all_is_no_evidence(asked, code):
    """Discovery continues with other accounts, and asks again."""
    with pytest.raises(Refusal) as refused:
        an_organization(asked, **{UNIT: [[]]}).whereabouts(ACCOUNT)

    assert (refused.value.kind, refused.value.fault.code) == (RefusalKind.THROTTLED, code)


def test_another_organization_than_the_file_names_says_nothing_of_accounts_and_units():
    """Its accounts would be strangers (invariant 8)."""
    for ask in (lambda one: one.whereabouts(ACCOUNT), lambda one: one.unit(UNIT), lambda one: one.arn()):
        with pytest.raises(Refusal) as refused:
            ask(an_organization(named="o-zzzzzzzzzz"))
        assert (refused.value.kind, refused.value.fault.code) == (RefusalKind.DENIED, "organization-other")


def test_a_root_that_the_organization_does_not_have_is_refused_with_those_that_it_has():
    """Else a wrong id in the file would stand for the whole organization."""
    with pytest.raises(Refusal) as refused:
        an_organization().unit("r-zz99")

    assert (refused.value.kind, refused.value.fault.code) == (RefusalKind.DENIED, "organization-no-unit")
    assert f"no root r-zz99; it has {ROOT}." in refused.value.fault.what
    assert an_organization().unit(ROOT).parents == (ROOT,)


def test_a_path_in_another_organization_does_not_say_in_which_ous_an_account_is():
    """Its parents are asked for instead."""
    assert an_organization(OfAnother).whereabouts(ACCOUNT) == Whereabouts("ACTIVE", (UNIT, ROOT))


def test_an_account_that_has_left_is_nowhere():
    """That is an answer, by which its shares may close; a refusal is none."""
    assert an_organization(HasLeft).whereabouts(ACCOUNT) == Whereabouts("")


def of_read_role(code):
    """What is said of a read role for which STS answers with this code."""

    class NoSessions:
        """Sessions that cannot assume the role."""

        def assumed(self, *_):
            with as_refusal("AssumeRole", READ_ROLE, sts=True):
                raise ClientError({"Error": {"Code": code}}, "AssumeRole")

    named = Organization(id="o-a1b2c3d4e5", read_role=READ_ROLE, external_id="secret")
    with pytest.raises(Refusal) as refused:
        AwsOrganization(NoSessions(), named, "1" * 12, "us-east-1", "it").unit(UNIT)
    return refused.value.fault


def test_a_read_role_that_cannot_be_assumed_says_which_stack_makes_it():
    """The general cure for a role speaks of targets."""
    said = of_read_role("AccessDenied")
    assert said.code == "organization-unreadable"
    assert said.what == "AssumeRole was refused: AccessDenied."
    assert said.where == f"organization o-a1b2c3d4e5, read by {READ_ROLE}"
    assert "as the hub's parameter OrganizationReadRoleArn" in said.cure
    assert "admits `discover` alone" in said.cure


def test_a_management_account_without_the_hubs_region_is_not_taken_for_one_without_the_role():
    """The stack there may be right, and the hub asks STS in a Region that is off in that account."""
    said = of_read_role("RegionDisabledException")
    assert "enable the hub's Region in it" in said.cure
    assert "organization.yaml" not in said.cure
