"""Build the command line as a wheel, the same bytes each time: `make wheel` writes it into build/wheel/.

python -m tools.wheel
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("ami_promoter", "chalicelib", "pyproject.toml", "LICENSE", "README.md")


def main() -> int:
    """Build into ``build/wheel``, in place of what is there; return the exit status."""
    out = ROOT / "build" / "wheel"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    print(build(out).relative_to(ROOT))
    return 0


def build(out: Path) -> Path:
    """Write the wheel into a folder, and return its path. Raises CalledProcessError.

    It is built from a copy: setuptools leaves files beside the sources, and takes what an earlier build left.
    """
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:
        copy, built = Path(name, "source"), Path(name, "built")
        copy.mkdir()
        for source in SOURCES:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, copy / source, ignore=shutil.ignore_patterns("__pycache__"))
            elif (ROOT / source).exists():
                shutil.copyfile(ROOT / source, copy / source)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"]
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", built, copy], check=True)
        (made,) = built.glob("*.whl")
        with zipfile.ZipFile(made) as archive:
            content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        write_zip(out / made.name, content)
        return out / made.name


def write_zip(path: Path, content: dict[str, bytes]) -> None:
    """Write files into a zip, in their order, without the times and modes of this machine."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)  # 1980
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    sys.exit(main())
