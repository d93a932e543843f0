"""Which parameter names the AMI of a delivery that runs."""

from chalicelib.delivery import naming
from chalicelib.delivery.model import Naming
from tests.delivery.examples import NOW, a_delivery


def test_what_a_slow_run_has_read_does_not_replace_what_another_run_has_offered_the_ami_to():
    """A recall takes the AMI from the parameters on record alone."""
    offered = a_delivery().with_naming(family="base", parameter="/later/base", offered_at=NOW, before=("/first/base",))
    late = Naming("base", "/middle/base", before=("/first/base",))

    assert (
        naming.changed(naming.ParameterChanged("/middle/{family}", "family", late, "/first/base"), offered, NOW)
        is offered
    )
