"""Mutated packages: the built package with one protection removed, to show that the tests find out."""

import zipfile
from pathlib import Path

from tests.protections import changes
from tests.reliability.machine import ROOT


def mutated_package(directory: Path, name: str, *, raising: bool = False) -> str:
    """Return a package that makes the changes of a removed protection when it starts; see ``changes.make``."""
    return changed_package(directory, f"import changes\nchanges.make(changes.CHANGES[{name!r}], raising={raising})")


def changed_package(directory: Path, statement: str) -> str:
    """Unpack the project's part of the built package, let its app end with a statement, and return the directory."""
    with zipfile.ZipFile(ROOT / "build" / "hub" / "deployment.zip") as archive:
        own = [n for n in archive.namelist() if n == "app.py" or n.startswith("chalicelib/")]
        archive.extractall(directory, own)
    (directory / "changes.py").write_bytes(Path(changes.__file__).read_bytes())
    app = directory / "app.py"
    app.write_text(f"{app.read_text(encoding='utf-8')}\n{statement}\n", encoding="utf-8")
    return str(directory)
