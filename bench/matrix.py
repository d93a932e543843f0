"""Which cases are measured: not every combination, but each dimension with the others held."""

from __future__ import annotations

from bench.case import Case

SIZES = [Case(accounts) for accounts in (1, 10, 100, 200)]
"""The promotion that everything is compared by: two volumes, one Region, every event on time and once."""
SWEPT = [Case(accounts, events=False) for accounts in (1, 10, 100)]
VOLUMES = [Case(10, volumes=count) for count in (1, 5, 10)]
FOUR_REGIONS = [Case(accounts, regions=4) for accounts in (1, 10)]
TOGETHER = [Case(accounts, together=True) for accounts in (1, 10, 20)]
LATE_KEYS = [Case(10, late_keys=True)]
SHARE_DELAYS = [Case(accounts, together=True, share_delay=0) for accounts in (1, 20)]
AFTER_COPY = [Case(accounts, after_copy=True) for accounts in (10, 100)]

TIMED = [*SIZES, *SWEPT, *VOLUMES, *FOUR_REGIONS, *TOGETHER, *LATE_KEYS, *SHARE_DELAYS]
"""Compared with the physical bound."""
ALL = [*TIMED, *AFTER_COPY]
SMALL = [Case(accounts) for accounts in (1, 10)]
"""What `make test` runs."""
