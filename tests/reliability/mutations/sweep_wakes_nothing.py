"""Mutation: the sweep wakes no record."""

from chalicelib.engine.sweep import Sweep

Sweep.run = lambda _self, *, time_left: None
