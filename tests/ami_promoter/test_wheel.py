"""What `make wheel` builds: the command line for installation elsewhere."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_the_command_and_what_it_reads(tmp_path):
    """The console script, the targets file's schema, the rooms' decisions; no simulator, tests or tools."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in ("ami_promoter", "chalicelib", "awsim", "demo", "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(source)], check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (about,) = [archive.read(name).decode() for name in names if name.endswith("METADATA")]
        (scripts,) = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]

    assert "ami-promoter = ami_promoter.cli:main" in scripts
    assert "Project-URL: Repository, https://" in about  # messages name files of the repository by it
    assert "ami_promoter/targets_file/targets.schema.json" in names
    assert "ami_promoter/report_page/style.css" in names
    tops = {name.partition("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"ami_promoter", "chalicelib"}
