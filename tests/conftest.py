"""Examples found by hypothesis: as many on a busy machine as on an idle one, and the same ones in every run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ami-promoter", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("ami-promoter")
