"""A tag event counts as new because it comes, whatever its version and time."""

import time

from chalicelib.core.promotion import machine

machine.tag_hint = lambda _version, _at: f"{int(time.time() * 100):012d}"
