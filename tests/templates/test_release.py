"""What `make release` builds: complete, the same each time, deployable as it lies there."""

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.templates.conftest import ROOT, commit_all, copied, resources, run_tool
from tools import release

pytestmark = pytest.mark.thorough

SOURCES = ("chalicelib", "ami_promoter", "tools", ".chalice", "deploy")
FILES = ("LICENSE", "README.md", "app.py", "pyproject.toml", "requirements.txt", "targets.example.yaml")
SCRIPT = "docs/explanation/check-assumptions.sh"


@pytest.fixture
def elsewhere(package: Path, tmp_path: Path) -> Path:
    """A copy of the sources, with new times, beside the same package."""
    copy = copied(tmp_path / "elsewhere", SOURCES, (*FILES, SCRIPT))
    shutil.copytree(package, copy / "build" / "hub")
    return copy


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their paths in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_release_is_the_same_every_time(released: Path, elsewhere: Path):
    """Built in another directory, at another time, with another umask and beside other files, every byte is equal."""
    for name in (".DS_Store", "mine.yaml", "terraform/hub/terraform.tfstate", "terraform/hub/terraform.tfvars.json"):
        (elsewhere / "deploy" / name).write_text("mine")
    done = run_tool(elsewhere, "release", umask=0o077, PYTHONHASHSEED="7", TZ="Asia/Tokyo")

    assert done.returncode == 0, done.stderr
    again = elsewhere / "build" / "release"
    assert content(again / released.name) == content(released)
    assert (again / f"{released.name}.zip").read_bytes() == released.with_name(f"{released.name}.zip").read_bytes()


def test_each_file_has_its_checksum_and_is_in_the_archive(released: Path):
    """As sha256sum prints it; the archive unpacks to the same folder."""
    files = content(released)
    sums = files.pop("SHA256SUMS").decode()
    with zipfile.ZipFile(released.with_name(f"{released.name}.zip")) as archive:
        archived = {name: archive.read(name) for name in archive.namelist()}

    assert sums.splitlines() == [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items())]
    assert archived == {f"{released.name}/{name}": data for name, data in content(released).items()}
    assert {"hub.yaml", "monitor.yaml", "target.yaml", "target-stackset.yaml", "sbom.cdx.json", "LICENSE"} <= set(files)


@pytest.mark.parametrize("name", ["hub.yaml", "monitor.yaml"])
def test_a_released_template_names_the_released_package(released: Path, name: str):
    """Bucket and folder are parameters; the file's name is in the template, and has the hash of its content."""
    template = yaml.safe_load((released / name).read_text(encoding="utf-8"))
    codes = [it["Code"] for it in resources(template, "AWS::Lambda::Function").values()]
    (package,) = released.glob("ami-promoter-hub-*.zip")
    key = {"Fn::Sub": f"${{PackagePrefix}}{package.name}"}

    assert "Default" not in template["Parameters"]["PackageBucket"]
    assert template["Parameters"]["PackagePrefix"]["Default"] == ""
    assert codes
    assert all(it == {"S3Bucket": {"Ref": "PackageBucket"}, "S3Key": key} for it in codes)
    assert package.name.endswith(f"-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}.zip")


def test_the_rest_is_deployed_as_the_repository_has_it(released: Path):
    """Each template, policy and Terraform module of the folder, byte for byte."""
    ours = {
        str(path.relative_to(ROOT / "deploy")): path.read_bytes()
        for pattern in ("*.yaml", "*.json", "terraform/*/*.tf")
        for path in (ROOT / "deploy").glob(pattern)
    }

    assert ours
    assert {name: data for name, data in content(released).items() if name in ours} == ours


def test_the_released_check_of_an_account_runs_the_released_code(released: Path, tmp_path: Path):
    """Its Python lines run from the wheel beside it, without a clone and with nothing installed."""
    text = (released / "check-assumptions.sh").read_text(encoding="utf-8")
    begin = text.index("repository=$(")
    lines = text[begin : text.index("for asked in", begin)].split("\ntitle ")[0]
    named = "target_account=222222222222 region=us-east-1 hub_account=111111111111"
    keys = "key=arn:aws:kms:us-east-1:111111111111:key/k target_key_arn=arn:aws:kms:us-east-1:222222222222:key/t"
    script = tmp_path / "check.sh"
    script.write_text(f"{named} {keys}\n{lines}\nsession_policy copy snap-0a\n", encoding="utf-8")
    (wheel,) = released.glob("*.whl")
    shutil.copy(wheel, tmp_path)
    done = subprocess.run(["bash", script], cwd="/", capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert '"Statement"' in done.stdout


def test_only_what_the_tag_says_is_released(elsewhere: Path):
    """Another version is refused, sources without git, and one that is not as committed; then nothing is left."""
    version = release.version()
    unknown = run_tool(elsewhere, "release", "--tag", f"v{version}")
    commit_all(elsewhere)

    other = run_tool(elsewhere, "release", "--tag", "v9.9.9")
    (elsewhere / "deploy" / "target.yaml").write_text("mine")
    changed = run_tool(elsewhere, "release", "--tag", f"v{version}")

    assert (unknown.returncode, other.returncode, changed.returncode) == (1, 1, 1)
    assert "is no git checkout" in unknown.stderr
    assert f"the tag must be v{version}" in other.stderr
    assert "with an uncommitted change: deploy/target.yaml" in changed.stderr
    assert not (elsewhere / "build" / "release").exists()
