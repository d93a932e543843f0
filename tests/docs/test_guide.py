"""The file that the deploy guide tells readers to write."""

import re
from pathlib import Path

import yaml

from ami_promoter.cli import main

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = (ROOT / "docs" / "guide" / "deploy.md").read_text(encoding="utf-8")


def test_four_lines_are_a_targets_file(tmp_path, capsys):
    """The minimal file is valid, and has the external id that the guide gives the target."""
    (text,) = re.findall(r"^```yaml\n(.*?)^```", DEPLOY, re.MULTILINE | re.DOTALL)
    file = tmp_path / "targets.yaml"
    file.write_text(text, encoding="utf-8")

    assert main(["targets", "validate", str(file), "--region", "eu-central-1"]) == 0, capsys.readouterr().err
    assert len(text.splitlines()) == 4
    assert f"ExternalId={yaml.safe_load(text)['defaults']['external_id']}" in DEPLOY
