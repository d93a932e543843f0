"""``resolve:ssm:NAME`` and ``resolve:ssm:NAME:VERSION``: a parameter in the place of an AMI's id."""

from __future__ import annotations

from awsim.api import AwsError, Call
from awsim.rules import rule
from awsim.services.ec2.state import Ec2State

AT_LAUNCH = rule(
    "ec2-parameter-resolved-at-launch",
    "ImageId may be resolve:ssm:NAME or resolve:ssm:NAME:VERSION of a parameter of the caller's account and Region, in "
    "RunInstances and in launch templates; each launch takes the AMI that the parameter names then, whatever has "
    "happened to that AMI. [botocore ec2 model, RequestLaunchTemplateData; EC2 user guide, "
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-launch-template.html, VERIFIED]",
)
ONLY_IMAGES = rule(
    "ec2-parameter-of-data-type-image-only",
    "resolve:ssm takes a parameter of data type aws:ec2:image only: SsmInvalidParameter, 'Unsupported data type. The "
    "following parameter data types are supported: aws:ec2:image'. [aws/aws-cdk#26712, kent8192/reinhardt-web#2023, "
    "VERIFIED]",
)
KNOWN = rule(
    "ec2-parameter-must-exist",
    "resolve:ssm of a parameter or version that does not exist: SsmInvalidParameter, 'The following aliases are "
    "invalid: NAME'. [two public reports of users, VERIFIED; for a version UNVERIFIED]",
)
PREFIX = "resolve:ssm:"
IMAGE = "aws:ec2:image"


def parameter_of(ec2: Ec2State, image: str) -> str:
    """Return the parameter that an ImageId names, with its version; "" if it names none."""
    return image.removeprefix(PREFIX) if image.startswith(PREFIX) and ec2.on(AT_LAUNCH) else ""


def resolve(ec2: Ec2State, call: Call, image: str) -> str:
    """Return the id of the AMI that an ImageId means now; an id means itself. Raises AwsError."""
    name = parameter_of(ec2, image)
    if not name:
        return image
    if name.startswith("arn:"):
        raise AwsError("UnsupportedOperation", "The simulator resolves parameters of the caller's account, by name")
    found = ec2.parameters.value_of(call.caller.account, call.region, name)
    if found is None:
        if ec2.on(KNOWN):
            raise AwsError("SsmInvalidParameter", f"The following aliases are invalid: {name}")
        return image
    value, data_type = found
    if data_type != IMAGE and ec2.on(ONLY_IMAGES):
        why = f"Unsupported data type. The following parameter data types are supported: {IMAGE}"
        raise AwsError("SsmInvalidParameter", why)
    return value
