"""Examples found by hypothesis: as many on a busy machine as on an idle one, and the same ones in every run.

And as in the simulator, garbage is looked for less often: it is most of the time of some tests otherwise.
"""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, settings

from awsim.world import GARBAGE

settings.register_profile(
    "ami-promoter", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("ami-promoter")
gc.set_threshold(*GARBAGE)
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it; a test that wants a width sets it itself

collect_ignore = ["browser"]
"""`make test-browser` has an environment of its own, with a browser."""
