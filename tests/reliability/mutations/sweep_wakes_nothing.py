"""Mutation: the sweep wakes no record."""

from chalicelib.service.sweep import Sweep

Sweep.run = lambda _self, *, time_left: None
