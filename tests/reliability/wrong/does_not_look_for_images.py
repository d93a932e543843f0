"""RegisterImage is made again without looking whether the first call took effect."""

from chalicelib.adapters.target import AwsTarget
from chalicelib.ports import Named

AwsTarget.find_image = lambda _self, _delivery: Named()
