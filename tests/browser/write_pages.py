"""Write the pages for the browser's tests: ``python -m tests.browser.write_pages DIRECTORY``.

The verb itself writes one in the simulator; the others show records that the simulator would not make.
"""

import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from ami_promoter.report_page.document import render
from awsim.world import World
from demo import stage
from tests.ami_promoter.report_page.many import hub, shown
from tests.scenarios import busy_hub
from tests.scenarios.scene import REGION, Scene

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert(1)</script>\"'><img src=//evil.example/x onerror=alert(1)>\u202e\x1b[2J" + "W" * 5000
PLACES = ("name", "value", "what", "cure", "parked", "snapshot")


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    pages = {
        "empty": shown(iter(())),
        "large": shown(hub(1000, 5)),
        "hostile": shown(hub(6, 2, fails=2, bad=dict.fromkeys(PLACES, HOSTILE))),
    }
    for name, page in pages.items():
        (directory / f"{name}.html").write_text(render(page), encoding="utf-8")
    _busy(directory / "busy.html")


def _busy(file: Path) -> None:
    """Play a day with many deliveries in the simulator, damage one record, and let the verb write its page."""
    none = str(file.parent / "none")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_REGION"):
        os.environ.pop(name, None)
    os.environ.update(AWS_CONFIG_FILE=none, AWS_SHARED_CREDENTIALS_FILE=none, AWS_DEFAULT_REGION=REGION)
    with World(start=datetime(2026, 1, 5, 9, 0, tzinfo=UTC)) as world, tempfile.TemporaryDirectory() as directory:
        os.environ.update(AWS_ACCESS_KEY_ID=world.accounts.root(stage.HUB).access_key, AWS_SECRET_ACCESS_KEY="sandbox")
        scene = Scene(world, Path(directory), ROOT)
        played = busy_hub.play(scene)
        scene.client("dynamodb").update_item(
            TableName=f"ami-promoter-{REGION}",
            Key={"pk": {"S": f"promotion#{played.refused}"}, "sk": {"S": "record"}},
            UpdateExpression="SET #schema = :other",
            ExpressionAttributeNames={"#schema": "schema"},
            ExpressionAttributeValues={":other": {"N": "1"}},
        )
        status, out, err = scene.cli("report", "-o", str(file))
        if status:
            raise SystemExit(out + err)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
