"""What counts as a throttled call: the codes of AWS's own models."""

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.retries import standard

from chalicelib.engine.aws.refusals import refusal
from chalicelib.engine.errors import RefusalKind
from chalicelib.targets.aws.organizations import READS

SERVICES = ("dynamodb", "events", "kms", "organizations", "sns", "sqs", "ssm", "sts")
THROTTLES = {
    (service, shape.error_code or shape.name)
    for service in SERVICES
    for shape in boto3.client(service, region_name="us-east-1").meta.service_model.error_shapes
    if "throttl" in shape.name.casefold()
}
IN_AN_ANSWER = {("sqs", "KMS.ThrottlingException")}
"""SQS sends another code than its model's name, and botocore takes the one that was sent."""
TRANSIENT = {*standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES}
TRANSACTIONS = {"TransactionInProgressException"}
RATES = {*standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES} - TRANSIENT - TRANSACTIONS
"""What botocore counts as a throttle, without what may be under way."""
ORGANIZATIONS = boto3.client("organizations", region_name="us-east-1").meta.service_model
PASSING = {
    shape.name
    for read in READS
    for shape in ORGANIZATIONS.operation_model(read.partition(":")[2]).error_shapes
    if "try again later" in shape.documentation.casefold()
}


@pytest.mark.parametrize(("service", "code"), sorted(THROTTLES | IN_AN_ANSWER))
def test_a_throttled_call_is_tried_again(service, code):
    """Also where KMS throttles the call of another service; as a denial, it would name a right that is not missing."""
    error = ClientError({"Error": {"Code": code, "Message": "Rate exceeded"}}, "Send")
    assert refusal(error, "Send", service).kind is RefusalKind.THROTTLED


@pytest.mark.parametrize("code", sorted(PASSING))
def test_what_organizations_says_of_an_outage_is_no_denial(code):
    """Its reference has HTTP 400 for each error; a denial would fail the deliveries to an OU."""
    error = ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "DescribeAccount")
    assert refusal(error, "DescribeAccount", "organizations").kind is RefusalKind.THROTTLED


def test_the_models_name_throttles_of_kms_and_what_passes():
    """The lists of cases are not empty by a change of the SDK."""
    assert {("sns", "KMSThrottling"), ("sqs", "KmsThrottled")} <= THROTTLES
    assert "ServiceException" in PASSING


INTERNAL = ("InternalException", "RequestTimeout", "RequestTimeoutException", "ServiceException")
OF_A_SERVER = ("InternalError", "Unavailable", "PriorRequestNotComplete")


@pytest.mark.parametrize(("code", "status"), [(it, 400) for it in INTERNAL] + [(it, 503) for it in OF_A_SERVER])
def test_after_an_internal_error_nobody_knows_whether_the_call_was_carried_out(code, status):
    """A CopySnapshot or RegisterImage that was must be found before another begins."""
    error = ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "RegisterImage")
    assert refusal(error, "RegisterImage", "ec2").unknown


@pytest.mark.parametrize("status", [400, 429, 503])
@pytest.mark.parametrize("code", sorted(RATES - {"LimitExceededException"}))
def test_a_throttled_call_was_not_carried_out(code, status):
    """So a copy that EC2 throttled begins again without a look, also with HTTP 503, which EC2 sends with it."""
    error = ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "CopySnapshot")
    refused = refusal(error, "CopySnapshot", "ec2")
    assert (refused.kind, refused.unknown) == (RefusalKind.THROTTLED, False)


@pytest.mark.parametrize("code", ["OptInRequired", "PendingVerification", "SubscriptionRequiredException"])
def test_an_account_that_aws_has_yet_to_activate_is_asked_again(code):
    """It is new, or new in its Region; as a denial, its first AMI would fail and have to be tagged again."""
    error = ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "RunInstances")
    refused = refusal(error, "RunInstances", "ec2")
    assert (refused.kind, refused.unknown) == (RefusalKind.THROTTLED, False)
    assert "has not activated" in refused.fault.cure


def test_a_throttle_of_the_sdks_second_try_does_not_say_what_became_of_the_first():
    """An instance that the first one has started would never be terminated."""
    answer = {"HTTPStatusCode": 503, "RetryAttempts": 1}
    error = ClientError({"Error": {"Code": "RequestLimitExceeded"}, "ResponseMetadata": answer}, "RunInstances")
    assert refusal(error, "RunInstances", "ec2").unknown
