"""Nobody compares what is shared with the tags, and no head of a shared AMI is looked at."""

from chalicelib.service.standing_pass import StandingPass
from chalicelib.service.tag_pass import TagPass

StandingPass.run = lambda _self, _found, _heads, *, time_left: None
TagPass.run = lambda _self, _found, _heads, *, time_left: None
