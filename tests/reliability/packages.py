"""Wrong services: the built package with one protection removed, to show that the tests find out."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from tests.reliability.machine import ROOT

WRONG = Path(__file__).parent / "wrong"


def wrong_package(name: str, directory: Path) -> str:
    """Unpack the project's part of the built package, add ``wrong/NAME.py`` as an import, and return the directory."""
    with zipfile.ZipFile(ROOT / "build" / "hub" / "deployment.zip") as archive:
        ours = [n for n in archive.namelist() if n == "app.py" or n.startswith("chalicelib/")]
        archive.extractall(directory, ours)
    shutil.copy(WRONG / f"{name}.py", directory / "wrong.py")
    app = directory / "app.py"
    app.write_text(f"{app.read_text(encoding='utf-8')}\nimport wrong  # noqa: F401\n", encoding="utf-8")
    return str(directory)
