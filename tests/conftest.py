"""Hypothesis's settings: the same number of examples on a busy and an idle machine, and the same ones in every run.

As in the simulator, Python collects garbage less often, and botocore reads its models of AWS's services once in a
process instead of once in a session: these two take most of the time of some tests otherwise.
"""

import functools
import gc
import os
from collections import defaultdict

import botocore.loaders
import botocore.session
import pytest
from hypothesis import HealthCheck, settings

from awsim.world import GARBAGE

settings.register_profile(
    "ami-promoter", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("ami-promoter")
gc.set_threshold(*GARBAGE)
botocore.session.create_loader = functools.cache(botocore.loaders.create_loader)
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it; a test that needs a width sets it itself

collect_ignore = ["browser"]
"""`make test-browser` has its own environment, with a browser."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all variants of a test with ``thorough_but`` as thorough but those that it names."""
    others, kept = defaultdict[tuple[str, str], list[str]](list), set[tuple[str, str]]()
    for item in items:
        mark = item.get_closest_marker("thorough_but")
        if mark is not None:
            name, _, variant = item.name.removesuffix("]").partition("[")
            of = (str(item.path), name)
            if variant in mark.args:
                kept.add(of)
            else:
                item.add_marker("thorough")
                others[of].append(variant)
    if lost := [name for (path, name), variants in others.items() if len(variants) > 1 and (path, name) not in kept]:
        raise pytest.UsageError(f"thorough_but names no variant of {', '.join(lost)}")
