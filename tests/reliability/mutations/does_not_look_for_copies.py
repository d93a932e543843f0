"""Mutation: CopySnapshot is repeated without looking whether the first call took effect."""

from chalicelib.adapters.ec2.target_snapshots import AwsTargetSnapshots

AwsTargetSnapshots.find = lambda _self, _delivery: ()
