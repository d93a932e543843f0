"""Mutation: discovery compares no standing shares with the tags, and reads no head of a shared AMI."""

from chalicelib.service.standing_pass import StandingPass
from chalicelib.service.tag_pass import TagPass

StandingPass.run = lambda _self, _found, _heads, *, time_left: None
TagPass.run = lambda _self, _found, _heads, *, time_left: None
