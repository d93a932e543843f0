"""CopySnapshot is made again without looking whether the first call took effect."""

from chalicelib.adapters.target import AwsTarget

AwsTarget.find_copies = lambda _self, _delivery: ()
