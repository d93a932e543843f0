"""Hypothesis's settings: the same number of examples on a busy and an idle machine, and the same ones in every run.

As in the simulator, Python collects garbage less often: it takes most of the time of some tests otherwise.
"""

import gc
import os

from hypothesis import HealthCheck, settings

from awsim.world import GARBAGE

settings.register_profile(
    "ami-promoter", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("ami-promoter")
gc.set_threshold(*GARBAGE)
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it; a test that needs a width sets it itself

collect_ignore = ["browser"]
"""`make test-browser` has its own environment, with a browser."""
