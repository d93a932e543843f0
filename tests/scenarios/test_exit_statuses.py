"""Each exit status that the command line documents for a verb is shown by the packaged hub in the simulator.

Wrong usage, wrong input and a refusal by AWS are shown here, for all verbs on one hub. The rest is shown where the verb
is tested: ``SHOWN`` names the test.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import click

from ami_promoter.cli import main, root
from ami_promoter.verbs import Verb
from tests.scenarios.scene import DEV, document

OK, FAULT, USAGE, AWS, UNFINISHED, FAILED, CANCELLED = range(7)
SHOWN_HERE = (USAGE, FAULT, AWS)
HERE = Path(__file__).parent
NOWHERE = "ami-00000000000000000"
"""An AMI that does not exist."""
NO_PROFILE = "--profile none"
"""What `targets validate` asks the SDK for; nothing else of it does."""
NOTHING = document({"Effect": "Deny", "Action": "*", "Resource": "*"})

LINES: dict[str, tuple[str | None, ...]] = {
    "plan": ("ami-1", "AMI dve", "AMI dev"),
    "promote": ("AMI dev --timeout 5", "AMI dve", "AMI dev"),
    "approve": ("AMI --for 91d", "NOWHERE", "AMI"),
    "wait": ("AMI --account 12", "NOWHERE", "AMI"),
    "retry": ("AMI --accept AMI", "NOWHERE", "AMI"),
    "withdraw": ("AMI", f"NOWHERE --account {DEV}", f"AMI --account {DEV}"),
    "cancel": ("", "NOWHERE", "AMI"),
    "recall": ("AMI", "AMI --why bad", "AMI --why bad"),
    "rollback": ("base", f"base --account {DEV}", f"base --account {DEV}"),
    "status": ("--watch", "NOWHERE", ""),
    "history": ("", "NOWHERE", "AMI"),
    "where": ("", "NOWHERE", "AMI"),
    "report": ("--days 0", "-o NONE", ""),
    "doctor": (f"--hub-only --account {DEV}", "--group dve", ""),
    "verify": ("AMI --account 12", "NOWHERE", "AMI"),
    "admin reconcile": ("--unpark none", "--unpark delivery#0", ""),
    "admin key-policy target": ("KEY KEY", None, "KEY"),
    "admin key-policy hub": ("KEY KEY", None, "KEY"),
    "targets validate": ("", "NONE", f"{NO_PROFILE} FILE"),
    "targets diff": ("", "NONE", "FILE"),
    "targets apply": ("", "NONE", "FILE"),
    "targets show": ("FILE", None, ""),
    "targets members": (f"--account {DEV}", None, ""),
    "admin pause": ("--why", None, ""),
    "admin resume": ("now", None, ""),
    "admin drain": ("--timeout 5", "", "--yes"),
    "admin clean-up": ("AMI", None, ""),
}
"""Verb -> its words in wrong usage, with wrong input, and refused by AWS; None: it has no such exit status."""
KEY_POLICY = "test_at_the_terminal.py::test_a_key_of_ones_own_is_made_fit_by_what_is_printed"
FILE = "test_at_the_terminal.py::test_a_targets_file_from_its_first_check_to_what_is_in_force"
VERIFY = "test_verifying.py::test_all_passes_until_somebody_deregisters_an_ami_or_a_target_cannot_be_looked_at"
READS = "test_cli_rights.py::test_who_only_reads_changes_nothing"
ROLLBACK = "test_recall_at_the_terminal.py::test_a_rollback_moves_the_parameter_and_its_lift_moves_it_back"
SHOWN: dict[str, dict[int, str]] = {
    "plan": {OK: READS, FAILED: "test_foreseeing.py::test_a_source_that_would_be_refused"},
    "promote": {
        OK: "test_following.py::test_promote_and_wait_until_all_is_delivered",
        UNFINISHED: "test_following.py::test_it_times_out_and_the_promotion_goes_on",
        FAILED: "test_following.py::test_a_failed_delivery",
        CANCELLED: "test_following.py::test_a_promotion_that_somebody_cancels",
    },
    "approve": {OK: "test_approval.py::test_it_waits_for_the_approval_and_everybody_says_so"},
    "wait": {
        OK: "test_following.py::test_a_refusal_is_shown_while_it_is_in_force_and_no_longer",
        UNFINISHED: "test_following.py::test_a_tag_that_the_service_does_not_look_at",
        FAILED: "test_following.py::test_a_refusal_is_shown_while_it_is_in_force_and_no_longer",
        CANCELLED: "test_following.py::test_waiting_right_after_a_shared_ami_was_cancelled",
    },
    "retry": {OK: "test_asking.py::test_retry_tries_again_what_failed_at_one_account_or_at_all"},
    "withdraw": {OK: "test_withdraw.py::test_a_share_ends_the_tag_stays_and_everybody_says_who_did_it"},
    "cancel": {OK: "test_asking.py::test_promote_and_cancel_write_and_remove_the_tag"},
    "recall": {OK: "test_recall_at_the_terminal.py::test_a_bad_ami_is_taken_back_and_everybody_can_see_it"},
    "rollback": {OK: ROLLBACK, UNFINISHED: ROLLBACK},
    "status": {OK: READS},
    "history": {OK: READS},
    "where": {OK: READS},
    "report": {OK: READS},
    "doctor": {
        OK: "test_doctor.py::test_a_healthy_hub",
        UNFINISHED: "test_doctor.py::test_what_may_not_be_read_is_not_called_well",
        FAILED: "test_doctor.py::test_a_target_without_the_role",
    },
    "verify": {
        OK: VERIFY,
        UNFINISHED: VERIFY,
        FAILED: VERIFY,
    },
    "admin reconcile": {
        OK: "test_reconcile.py::test_all_is_in_order_until_a_target_cannot_be_seen",
        UNFINISHED: "test_reconcile.py::test_all_is_in_order_until_a_target_cannot_be_seen",
    },
    "admin key-policy target": {OK: KEY_POLICY, FAULT: KEY_POLICY},
    "admin key-policy hub": {OK: KEY_POLICY, FAULT: KEY_POLICY},
    "targets validate": {OK: FILE},
    "targets diff": {OK: FILE},
    "targets apply": {OK: "test_confirming.py::test_it_is_shown_and_asked_for"},
    "targets show": {OK: FILE},
    "targets members": {OK: READS},
    "admin pause": {OK: "test_following.py::test_promoting_while_paused_says_so"},
    "admin resume": {OK: "test_following.py::test_promoting_while_paused_says_so"},
    "admin drain": {
        OK: "test_draining.py::test_copies_are_let_end_and_then_nothing_is_open",
        UNFINISHED: "test_draining.py::test_copies_are_let_end_and_then_nothing_is_open",
    },
    "admin clean-up": {
        OK: "test_clean_up.py::test_what_is_superseded_goes_and_what_is_used_stays",
        FAULT: "test_clean_up.py::test_what_is_superseded_goes_and_what_is_used_stays",
        UNFINISHED: "test_clean_up.py::test_a_removal_that_stops_between_two_calls_goes_on_when_it_is_run_again",
    },
}
"""Verb -> exit status -> the test that shows it."""


def test_wrong_usage_wrong_input_and_a_refusal_by_aws(scene, become, monkeypatch, tmp_path):
    """Each says what is wrong in a line, and changes nothing."""
    file = str(scene._directory / "targets.yaml")
    named = {"AMI": scene.image, "NOWHERE": NOWHERE, "FILE": file, "NONE": str(tmp_path / "none" / "file")}
    named["KEY"] = scene.key

    def shows(expected: int) -> None:
        for verb, words in LINES.items():
            line = words[SHOWN_HERE.index(expected)]
            if line is None or NO_PROFILE in line:
                continue
            status, out, err = scene.cli(*verb.split(), *(named.get(word, word) for word in line.split()))
            assert (status, bool(err), "Traceback" in err) == (expected, True, False), f"{verb} {line}\n{out}{err}"

    shows(USAGE)
    shows(FAULT)
    become(NOTHING)
    shows(AWS)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["targets", "validate", file, *NO_PROFILE.split()]) == AWS
    assert scene.nothing_happened()


def test_each_documented_exit_status_is_shown():
    """Here, or by the test that the table names; and none is shown that is not documented."""
    shown = {
        verb: set(SHOWN[verb]) | {status for status, line in zip(SHOWN_HERE, words, strict=True) if line is not None}
        for verb, words in LINES.items()
    }

    assert shown == {verb: set(map(int, command.exits)) for verb, command in verbs(root)}


def test_what_shows_it_is_there():
    """A test that is renamed is renamed in the table, too."""
    missing = []
    for test in sorted({test for tests in SHOWN.values() for test in tests.values()}):
        file, _, name = test.partition("::")
        tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
        missing += [] if name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} else [test]
    assert missing == []


def verbs(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every verb with the words that name it; `completion` is Click's own."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, f"{before}{name} ")
        if isinstance(command, Verb):
            yield f"{before}{name}", command
