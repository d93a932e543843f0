"""What the command line says if AWS refuses to let it read records."""

import pytest

from ami_promoter.hub import hub_images
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.hub.records import History, Reader
from chalicelib.engine import addresses
from tests.ami_promoter.a_hub import Forbidding

REGION = "us-east-1"
AMI, DEV = "ami-0123456789abcdef0", "222222222222"
READS = {
    "all promotions": lambda hub: Reader(hub).overview(),
    "pointers": lambda hub: Reader(hub).pointers(),
    "what is under way": lambda hub: Reader(hub).under_way(),
    "a promotion": lambda hub: Reader(hub).promotion(AMI),
    "a source": lambda hub: Reader(hub).source_image(AMI),
    "a source as examined": lambda hub: Reader(hub).examined(AMI, "1"),
    "tracked deliveries": lambda hub: Reader(hub).tracked(AMI),
    "what made an AMI": lambda hub: Reader(hub).made_from(AMI),
    "deliveries": lambda hub: Reader(hub).deliveries(["1"]),
    "shares": lambda hub: Reader(hub).shares([("resource#snapshot#snap-0a", DEV)]),
    "a history": lambda hub: list(History(hub).of(addresses.promotion(AMI))),
    "archived shares": lambda hub: list(History(hub).shares_at([("resource#snapshot#snap-0a", DEV)])),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_a_refusal_to_read_is_a_message(client, read):
    """It says what was being read, of which table where, and what may help; it is no traceback."""
    said = r"^account 123456789012, us-east-1, table other: reading the (records|history) failed: .*no such table"
    with pytest.raises(HubError, match=said):
        read(Connection(REGION, "other"))


def test_a_right_that_a_person_lacks_is_not_in_the_templates(client):
    """The service's adapter is used with the person's credentials: what was refused is theirs, and so is the cure."""
    with pytest.raises(HubError) as refused:
        hub_images.examine(Forbidding(lambda _region: True), AMI)

    fault = refused.value.fault
    assert fault.what.startswith(f"examining {AMI} failed: "), fault
    assert (fault.code, fault.where) == ("UnauthorizedOperation", f"account 123456789012, {REGION}")
    assert fault.cure == "Use a role that is allowed to do this; docs/reference/cli.md lists what each verb needs."
