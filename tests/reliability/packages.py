"""Wrong services: the built package with one protection taken out, for showing that its loss is found out."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from tests.reliability.machine import ROOT

WRONG = Path(__file__).parent / "wrong"


def wrong_package(name: str, directory: Path) -> str:
    """Unpack what is ours of the built package, let ``wrong/NAME.py`` change it on import, and return where it lies."""
    with zipfile.ZipFile(ROOT / "build" / "hub" / "deployment.zip") as archive:
        ours = [n for n in archive.namelist() if n == "app.py" or n.startswith("chalicelib/")]
        archive.extractall(directory, ours)
    shutil.copy(WRONG / f"{name}.py", directory / "wrong.py")
    app = directory / "app.py"
    app.write_text(f"{app.read_text(encoding='utf-8')}\nimport wrong  # noqa: F401\n", encoding="utf-8")
    return str(directory)
