"""EC2's answers with characters that XML cannot have, parsed by the SDK."""

import pytest
from botocore.awsrequest import AWSResponse
from botocore.parsers import ResponseParserError

from chalicelib.engine.aws.sessions import Sessions
from chalicelib.engine.errors import Refusal, RefusalKind
from chalicelib.images.aws.hub_images import HubSource

AMI = "ami-0aaaaaaaaaaaaaaaa"


class Raw:
    """The stream of an answer's body."""

    def __init__(self, body: bytes) -> None:
        self._parts = [body]

    def stream(self, **_: object):
        while self._parts:
            yield self._parts.pop()


@pytest.fixture
def answer(monkeypatch):
    """Let EC2 answer each DescribeImages with this text as a tag's value, or with this body; return HubSource."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def answered(value: bytes, body: bytes = b"") -> HubSource:
        tags = b"<item><key>promote</key><value>" + value + b"</value></item>"
        image = b"<imageId>%s</imageId><imageOwnerId>111111111111</imageOwnerId><imageState>available</imageState>"
        images = b"<item>" + image % AMI.encode() + b"<tagSet>" + tags + b"</tagSet></item>"
        body = body or b"<DescribeImagesResponse><imagesSet>" + images + b"</imagesSet></DescribeImagesResponse>"
        sessions = Sessions("us-east-1", lambda: 0.0)
        answer = lambda request, **_: AWSResponse(request.url, 200, {}, Raw(body))  # noqa: E731
        sessions.own("ec2").meta.events.register("before-send.ec2", answer)
        return HubSource(sessions, "111111111111", "us-east-1", "promote")

    return answered


@pytest.mark.parametrize(
    "value", [b"a\x01b", b"a&#x1;b", b"a&#1;b", b"a&#xFFFF;b", b"a\xffb", b"a&#x110000;b", b"a&#0;b"]
)
def test_a_character_that_xml_cannot_have_is_replaced(answer, value):
    """Raw, or as a reference; the list of all tagged AMIs and the look at one can be read."""
    assert [one.value for one in answer(value).tagged()] == ["a\ufffdb"]
    assert answer(value).tag(AMI).value == "a\ufffdb"


@pytest.mark.parametrize(
    ("value", "read"),
    [(b"a&#10;b", "a\nb"), (b"a&#xe9;&amp;\xc3\xa9", "aé&é"), (b"a&amp;#x1;", "a&#x1;"), (b"\tx", "\tx")],
)
def test_all_else_stays_as_it_is(answer, value, read):
    """References that XML allows, other characters, and text that only looks like a reference."""
    assert answer(value).tag(AMI).value == read


def test_an_answer_that_cannot_be_read_is_no_answer(answer):
    """It was cut off, for example: the service asks again, and believes nothing of it."""
    with pytest.raises(Refusal) as refused:
        answer(b"", body=b"<DescribeImagesResponse><imagesSet>").tagged()

    assert refused.value.kind is RefusalKind.THROTTLED
    assert isinstance(refused.value.__cause__, ResponseParserError)
