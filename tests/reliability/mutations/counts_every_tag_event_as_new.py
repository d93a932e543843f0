"""Mutation: every tag event that arrives counts as new, whatever its version and time."""

import time

from chalicelib.promotion import evolving

evolving.tag_entry = lambda _version, _at, _event: f"{int(time.time() * 100):012d}"
