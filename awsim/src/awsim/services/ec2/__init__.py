"""EC2: images, snapshots, volumes, tags, their sharing and copying across accounts."""

from awsim.services.ec2.seeds import blank, ephemeral, no_device, volume
from awsim.services.ec2.service import Ec2

__all__ = ["Ec2", "blank", "ephemeral", "no_device", "volume"]
