"""The character for what an adapter cannot read. Every function imports it, so it has a module: cold start."""

from __future__ import annotations

ILLEGIBLE = "\ufffd"
"""Stands for a character that EC2's answer, as XML, cannot contain; the adapters put it there."""
