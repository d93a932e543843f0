"""Mutation: RegisterImage is repeated without looking whether the first call took effect."""

from chalicelib.delivery.aws.target_images import AwsTargetImages

AwsTargetImages.named = lambda _self, _delivery: ()
