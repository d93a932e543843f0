"""The sweep does not wake."""

from chalicelib.service.sweep import Sweep

Sweep.run = lambda _self, *, time_left: None
