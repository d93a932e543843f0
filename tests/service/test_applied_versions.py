"""Notices of the applied file's versions: each that the service read, once, whatever happens in between."""

import json
from dataclasses import replace

import pytest

from chalicelib.engine import notices
from chalicelib.targets.applied_file import Directory, Target
from chalicelib.targets.ports import FileVersion, Notified
from chalicelib.targets.worker.applied_versions import AppliedVersions, SeenVersions, VersionWatch
from tests.service.cloud import Quiet

A, HUB, HERE = "111111111111", "999999999999", "us-east-1"
STRICT = Target(A, HERE, approval="required")


def file(target=STRICT):
    return Directory({"all": (A,)}, {A: (target,)})


LOOSE = file(replace(STRICT, approval="none"))


class VersionScene:
    """A table of versions, what was notified, and the worker; ``write_fails``: whether the table answers no write."""

    def __init__(self):
        self.files, self.current, self.stored = {}, None, (Notified(), 0)
        self.sent, self.wakes, self.write_fails = [], [], False
        self.telemetry, self.refuses, self.left = Quiet(), False, 100
        self.worker = AppliedVersions(self, self, self, lambda: 1000, self.telemetry, HUB, HERE)
        self.seen = SeenVersions(self, self, Quiet())
        self.watch = VersionWatch(self, self, self, lambda: 1000)

    def apply(self, number, directory, by="jane"):
        self.current = FileVersion(f"{number:08d}#d{number}", f"at {number}", by)
        self.files[self.current.version] = directory
        return self.current

    def in_force(self):
        return self.current

    def content(self, version):
        return self.files.get(version)

    def load(self):
        return self.stored

    def save(self, notified, number):
        if self.write_fails:
            raise ConnectionError
        if number != self.stored[1]:
            return False
        self.stored = notified, number + 1
        return True

    def publish(self, notice):
        assert len(json.dumps(notice)) < 100_000
        if self.refuses:
            raise ConnectionError
        self.sent.append(notice)

    def send(self, wake):
        self.wakes.append(wake)

    def run(self):
        """The worker, and what it said: (version before, version, outcome)."""
        self.sent.clear()
        self.worker.run(time_left=lambda: self.left)
        return [(one["before"], one["version"], one["outcome"]) for one in self.sent]


@pytest.fixture
def scene():
    """A hub whose first version was read: nothing was before it, so nobody is notified."""
    scene = VersionScene()
    scene.seen.remember(scene.apply(1, file()))
    assert (scene.run(), scene.wakes) == ([], [])
    return scene


def test_a_version_that_takes_an_approval_away_has_one_notice_with_what_and_who(scene):
    """And the same version has no second notice."""
    scene.apply(2, LOOSE, by="arn:eve")
    assert scene.run() == [("00000001#d1", "00000002#d2", "loosened")]
    (notice,) = scene.sent
    assert notice["loosened"] == [
        {"where": f"{A}/{HERE}", "setting": "approval", "before": "required", "after": "none"}
    ]
    assert (notice["applied_by"], notice["claimed"], notice["changed"]) == ("arn:eve", True, [f"{A}/{HERE}"])
    assert notices.subject(notice) == "targets file 00000002#d2 loosened"
    assert scene.run() == []


def test_one_that_was_used_and_taken_back_before_the_worker_looked_has_its_notice(scene):
    """The pointer is byte for byte what it was."""
    before, loose = scene.current, scene.apply(2, LOOSE)
    scene.seen.remember(loose)
    scene.current = before
    scene.watch.look()
    assert len(scene.wakes) == 2  # of the one that read it, and of discovery while the notice is missing
    assert scene.run() == [
        ("00000001#d1", "00000002#d2", "loosened"),
        ("00000002#d2", "00000001#d1", "applied"),
    ]
    scene.watch.look()
    assert (scene.run(), len(scene.wakes)) == ([], 2)


def test_one_that_was_used_has_its_notice_though_no_version_is_in_force_any_longer(scene):
    """Somebody deleted by hand what names the version in force."""
    scene.seen.remember(scene.apply(2, LOOSE))
    scene.current = None
    scene.watch.look()
    assert scene.run() == [("00000001#d1", "00000002#d2", "loosened")]


def test_while_no_version_is_in_force_discovery_goes_on_and_wakes_nobody(scene):
    """Its item was deleted, or comes back soon."""
    scene.stored, scene.current = (Notified("00000001#d1"), 1), None
    scene.watch.look()

    assert scene.wakes == []


def test_the_one_before_counts_too_when_both_were_met(scene):
    """The worker read the file again after it was taken back."""
    before, loose = scene.current, scene.apply(2, LOOSE)
    for one in (before, loose, before, loose, before):
        scene.seen.remember(one)
        scene.current = one
    assert scene.run() == [
        ("00000001#d1", "00000002#d2", "loosened"),
        ("00000002#d2", "00000001#d1", "applied"),
    ]


def test_two_versions_that_nobody_used_in_between_are_one_change(scene):
    """The notice names the version before, so the gap shows."""
    scene.apply(2, file(replace(STRICT, linger=1)))
    scene.apply(3, LOOSE)
    scene.watch.look()
    assert len(scene.wakes) == 1
    assert scene.run() == [("00000001#d1", "00000003#d3", "loosened")]


def test_an_account_that_one_version_removes_and_the_next_brings_back_is_a_page(scene):
    """Neither takes an approval from a target that both have."""
    scene.apply(2, Directory())
    assert [outcome for *_, outcome in scene.run()] == ["applied"]
    scene.apply(3, LOOSE)
    assert [outcome for *_, outcome in scene.run()] == ["loosened"]


@pytest.mark.parametrize("gone", ["00000001#d1", "00000002#d2"])
def test_what_cannot_be_compared_is_a_page(scene, gone):
    """Somebody deleted the version before, or this one."""
    scene.apply(2, file())
    del scene.files[gone]
    assert scene.run() == [("00000001#d1", "00000002#d2", "loosened")]
    assert (scene.sent[0]["compared"], scene.sent[0]["changed"]) == (False, [])


def test_a_write_that_fails_after_the_notice_repeats_it_with_the_same_id(scene):
    """The receiver recognizes the repeat."""
    scene.apply(2, LOOSE)
    scene.write_fails = True
    with pytest.raises(ConnectionError):
        scene.run()
    (first,) = scene.sent
    scene.write_fails = False
    scene.run()
    assert [one["id"] for one in scene.sent] == [first["id"]]


def test_what_meets_a_version_never_waits_for_this(scene):
    """A refused write delays no removal; the version is read again."""
    loose = scene.apply(2, LOOSE)
    scene.write_fails = True
    scene.seen.remember(loose)
    assert scene.wakes == []
    scene.write_fails = False
    scene.seen.remember(loose)
    scene.seen.remember(loose)
    assert len(scene.wakes) == 1


def test_a_thousand_changed_targets_are_one_notice_of_limited_size(scene):
    """It lists a hundred of each, and counts the others."""
    many = [f"{number:012d}" for number in range(2000)]
    for number, approval in ((2, "required"), (3, "none")):
        one = {account: (Target(account, HERE, approval=approval),) for account in many}
        scene.apply(number, Directory({"all": tuple(many)}, one))
        scene.run()
    (notice,) = scene.sent
    assert (len(notice["changed"]), len(notice["loosened"]), notice["unlisted"]) == (100, 100, 3800)


def test_the_alarm_does_not_depend_on_the_notice(scene):
    """SNS refuses it."""
    scene.apply(2, LOOSE)
    scene.refuses = True
    with pytest.raises(ConnectionError):
        scene.run()
    assert [name for name, _ in scene.telemetry.reported] == ["applied"]


def test_places_of_any_length_make_no_notice_too_long(scene):
    """Somebody who writes the table chooses the Region's name."""
    scene.apply(2, file(replace(STRICT, region="x" * 300_000)))
    assert [outcome for *_, outcome in scene.run()] == ["applied"]


def test_with_no_time_left_it_notifies_of_one_and_the_next_run_goes_on(scene):
    """Many versions were read while nobody was notified."""
    for number in (2, 3, 4):
        scene.seen.remember(scene.apply(number, file()))
    scene.left = 1
    assert [[version[7] for _, version, _ in scene.run()] for _ in range(4)] == [["2"], ["3"], ["4"], []]
