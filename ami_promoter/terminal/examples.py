"""Two calls of each verb, for its help and the reference."""

from __future__ import annotations

from collections.abc import Mapping

from ami_promoter.terminal.output import PROGRAM

AMI = "ami-0123456789abcdef0"
EXAMPLES: Mapping[str, tuple[str, str]] = {
    "targets validate": ("targets.yaml", "targets.yaml --region eu-central-1 --json"),
    "targets diff": ("targets.yaml", "targets.yaml --json"),
    "targets apply": ("targets.yaml", "targets.yaml --dry-run"),
    "targets show": ("", "--json"),
    "targets members": ("", "accept --account 222222222222"),
    "plan": (f"{AMI} dev", "golden-2026-01 'dev prod'"),
    "promote": (f"{AMI} dev", "golden-2026-01 'dev prod' --wait --timeout 4h"),
    "approve": (AMI, f"{AMI} --digest 0123456789ab"),
    "wait": (f"{AMI} --timeout 4h", f"{AMI} --account 222222222222 --json"),
    "status": (f"{AMI} --watch", "--since 7d --image 'golden-*'"),
    "history": (AMI, "--account 222222222222 --since 7d"),
    "where": ("golden-2026-01", f"{AMI} dev --ids"),
    "retry": (AMI, f"{AMI} --account 222222222222"),
    "cancel": (AMI, "golden-2026-01"),
    "withdraw": (f"{AMI} --account 222222222222", f"{AMI} --account 222222222222 --lift"),
    "recall": (f"{AMI} --why 'It does not boot.'", f"{AMI} --lift"),
    "rollback": ("al2023-base --group prod --why 'It does not boot.'", "al2023-base --group prod --lift"),
    "verify": (AMI, "golden-2026-01 --json"),
    "report": ("-o page.html", "--publish s3://bucket/page.html --days 90"),
    "doctor": ("", "--hub-only"),
    "admin key-policy target": ("", "alias/golden --region eu-central-1"),
    "admin key-policy hub": ("", "alias/golden --access policy"),
    "admin pause": ("--why 'a change of the network'", "--json"),
    "admin resume": ("", "--json"),
    "admin drain": ("--wait", "--wait --timeout 2d"),
    "admin reconcile": ("", "--apply"),
    "admin clean-up": ("--dry-run", "--family al2023-base"),
    "completion": ("bash", "zsh"),
}
"""A verb -> what may follow it."""


def examples(path: str) -> tuple[str, ...]:
    """Return example calls of a verb, named by the path of its command; () if it has none."""
    return tuple(f"{path} {after}".rstrip() for after in EXAMPLES.get(path.removeprefix(f"{PROGRAM} "), ()))
