"""Mutated packages: the built package with one protection removed, to show that the tests find out."""

import shutil
import zipfile
from pathlib import Path

from tests.reliability.machine import ROOT

MUTATIONS = Path(__file__).parent / "mutations"


def mutated_package(name: str, directory: Path) -> str:
    """Unpack the project's part of the built package, import ``mutations/NAME.py`` there, and return the directory."""
    with zipfile.ZipFile(ROOT / "build" / "hub" / "deployment.zip") as archive:
        own = [n for n in archive.namelist() if n == "app.py" or n.startswith("chalicelib/")]
        archive.extractall(directory, own)
    shutil.copy(MUTATIONS / f"{name}.py", directory / "mutation.py")
    app = directory / "app.py"
    app.write_text(f"{app.read_text(encoding='utf-8')}\nimport mutation  # noqa: F401\n", encoding="utf-8")
    return str(directory)
