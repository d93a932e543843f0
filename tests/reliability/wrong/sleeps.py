"""The sweep does not ring."""

from chalicelib.service.sweep import Sweep

Sweep.run = lambda _self, *, time_left: None
