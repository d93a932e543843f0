"""A function imports only what it needs, and none of the command line's libraries."""

import pytest

from bench import cold

OTHERS = {
    "jsonschema",
    "rich",
    "click",
    "yaml",
    "moto",
    "awsim",
    "ami_promoter",
    "pytest",
    "openapi_pydantic",
    "pydantic",
}
HEAVY = {
    "chalicelib.delivery.worker.deliveries",
    "chalicelib.promotion.worker.promotions",
    "chalicelib.sharing.worker.share_worker",
    "chalicelib.inventory.worker.inventories",
    "chalicelib.images.image",
    "chalicelib.sharing.share",
    "chalicelib.images.aws.hub_images",
}
"""Modules that the sweep and the functions for events do not import."""
OF_OTHER_RECORDS = {
    "chalicelib.promotion.codec",
    "chalicelib.inventory.codec",
    "chalicelib.promotion.evolving",
    "chalicelib.promotion.events",
}
"""Of promotions and inventories."""


@pytest.fixture(scope="module")
def started() -> dict[str, set[str]]:
    """Each function's modules after its first use."""
    return cold.modules()


def test_no_function_imports_what_only_a_person_needs(started):
    """Neither the command line's libraries nor the simulator's."""
    for function, modules in started.items():
        assert not OTHERS & {module.partition(".")[0] for module in modules}, function


@pytest.mark.parametrize("function", ["on-tag-change", "on-image-state", "on-target-event", "sweep"])
def test_who_hears_events_or_sweeps_does_without_the_rest(started, function):
    """Each of these functions has an execution environment of its own."""
    assert not HEAVY & started[function]


def test_workers_leave_out_what_the_other_does(started):
    """The share worker imports no deliveries, and the worker imports inventories only on demand."""
    assert "chalicelib.delivery.worker.deliveries" not in started["share-worker"]
    assert not {"chalicelib.sharing.worker.share_worker", "chalicelib.inventory.worker.inventories"} & started["worker"]
    for function in ("worker", "share-worker"):
        assert not OF_OTHER_RECORDS & started[function], "its first record is a delivery, or a resource"


def test_all_of_them_use_the_package(started):
    """The measurement is of the real package."""
    assert all({"app", "chalicelib.entry.bootstrap", "boto3"} <= modules for modules in started.values())
