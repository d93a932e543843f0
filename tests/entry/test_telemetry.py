"""What the service reports becomes metrics, which its alarms watch."""

from types import SimpleNamespace

import pytest
from aws_lambda_powertools import Metrics

from chalicelib.engine import addresses
from chalicelib.entry.telemetry import PowertoolsTelemetry
from chalicelib.promotion.events import RefusedNotified

AMI, KEY = addresses.promotion("ami-0a"), addresses.delivery("0a")
ACCOUNT, SNAPSHOT = "222222222222", "snapshot#snap-0a"


@pytest.fixture
def lines():
    """Returns metrics as CloudWatch reads them from the log, without their dimension; none are left from before."""
    metrics = Metrics(namespace="AmiPromoter", service="ami-promoter")
    metrics.clear_metrics()

    def read():
        if not metrics.provider.metric_set:
            return {}
        line = metrics.serialize_metric_set()
        named = (one["Name"] for one in line["_aws"]["CloudWatchMetrics"][0]["Metrics"])
        return {name: line[name][0] for name in named}

    yield read
    metrics.clear_metrics()


@pytest.mark.parametrize(
    ("report", "given", "counted"),
    [
        ("did", (AMI, "running", None, RefusedNotified()), {"ValuesRefused": 1}),
        ("did", (AMI, "running", None, SimpleNamespace()), {}),
        ("moved", (KEY, "copying", "copying", "sweep:1", {}), {}),
        ("moved", (KEY, "copying", "ending", "event", {}), {"RecordsMoved": 1}),
        ("moved", (KEY, "copying", "ending", "sweep:1", {}), {"RecordsMoved": 1, "FoundBySweep": 1}),
        ("moved", (KEY, "ending", "failed", "", {}), {"RecordsMoved": 1, "DeliveriesFailed": 1}),
        ("moved", (KEY, "ending", "delivered", "", {}), {"RecordsMoved": 1, "DeliveriesDelivered": 1}),
        ("moved", (KEY, "ending", "cancelled", "", {}), {"RecordsMoved": 1, "DeliveriesCancelled": 1}),
        ("moved", (AMI, "running", "failed", "", {}), {"RecordsMoved": 1}),
        ("in_state", (KEY, 70), {"SecondsInState": 70}),
        ("in_state", (AMI, 70), {}),
        ("parked", (KEY, "It cannot be read."), {"RecordsParked": 1}),
        ("share", (SNAPSHOT, ACCOUNT, "opened"), {"SharesOpened": 1}),
        ("share", (SNAPSHOT, ACCOUNT, "closed"), {"SharesClosed": 1}),
        ("share", (SNAPSHOT, ACCOUNT, "not closed"), {}),
        ("open_shares", (90,), {"OldestOpenShareSeconds": 90}),
        ("derived_grants", ("key#k", ACCOUNT, ["g1", "g2"]), {"GrantsOutliving": 2}),
        ("not_closing", (SNAPSHOT, ACCOUNT, 5, "EC2 refuses it."), {"SharesStillOpen": 1}),
        ("closed_blind", (SNAPSHOT, ACCOUNT), {"SharesClosedBlind": 1}),
        (
            "organization",
            (1, 2, 3, {"ou-1": "It cannot be read."}),
            {"AccountsJoined": 1, "AccountsLeft": 2, "AccountsHeld": 3, "UnitsUnreadable": 1},
        ),
        ("session", ("a role", 40), {"PackedPolicySize": 40}),
        ("discovered", (), {"Discoveries": 1}),
        ("still_failed", (4,), {"DeliveriesStillFailed": 4}),
        ("swept", (1, 2, 65), {"RecordsDue": 2, "OldestDueSeconds": 65}),
        ("judged", ("CreateGrant", "key", "own", "a role", "It is ours."), {"TrailEvents": 1}),
        ("finding", ("page", "foreign-stranger", "key"), {"AccessPages": 1}),
        ("finding", ("warning", "foreign-stranger", "key"), {"AccessWarnings": 1}),
        ("finding", ("notice", "foreign-listed", "key"), {"AccessNotices": 1}),
        ("trail_silent", ("g1", 3600), {"TrailSilent": 1}),
        ("audited", (5, 2, 90), {"DriftLooks": 5, "DriftNotSeen": 2, "DriftAuditAge": 90}),
    ],
)
def test_what_is_reported_is_counted(lines, report, given, counted):
    """Each metric gets its number: an alarm on one that nobody writes would stay silent."""
    getattr(PowertoolsTelemetry(), report)(*given)

    assert lines() == counted


@pytest.mark.parametrize(("alarming", "counted"), [(True, {"TargetsLoosened": 1}), (False, {})])
def test_a_version_that_loosens_is_counted_if_it_alarms(lines, alarming, counted):
    """One that asks for no less than before needs nobody."""
    PowertoolsTelemetry().applied("2", "somebody", ["most_leaving"], alarming=alarming)

    assert lines() == counted
