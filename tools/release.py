"""Build what somebody installs without a clone: `make release` writes it into build/release/.

    python -m tools.release [--tag TAG]

The folder ``ami-promoter-VERSION`` has the hub's package and templates, the targets' templates, the policies, the
Terraform modules, the wheel, the bill of materials, the check of a real account, and the checksums of all of them; the
zip beside it has the same files. The same commit gives the same bytes, with the same version of Python.

With ``--tag``, as the release job runs it, the tag must be the version, and no source may differ from its commit.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tools import checkout, package, wheel

ROOT = package.ROOT
DEPLOYED = (
    "chat.yaml",
    "cli-approver.json",
    "cli-operator.json",
    "cli-read-only.json",
    "cli-tagger.json",
    "guardrails.yaml",
    "hub-region.yaml",
    "organization.yaml",
    "strict.json",
    "target-stackset.yaml",
    "target.yaml",
    "terraform/hub/main.tf",
    "terraform/stack-set/main.tf",
    "terraform/target/main.tf",
)
"""Files of the folder ``deploy``, by name: terraform, editors and people leave others there, some of them secret."""
COPIED = {
    "LICENSE": "LICENSE",
    "targets.example.yaml": "targets.example.yaml",
    "docs/explanation/check-assumptions.sh": "check-assumptions.sh",
    **{f"deploy/{name}": name for name in DEPLOYED},
}
"""What is deployed, read or run as it is: source -> path in the release."""
SOURCES = (*checkout.PACKAGED, *wheel.SOURCES, *COPIED)
"""What a release is made from."""
SUMS = "SHA256SUMS"
HUB, MONITOR = "hub.yaml", "monitor.yaml"
NAMED_DIGITS = 12
"""Digits of the package's hash in its name. A function whose ``S3Key`` stays the same does not take a new package."""


class NotReleasable(Exception):
    """The checkout is not what the tag says; the text says why."""


def main(arguments: Sequence[str]) -> int:
    """Build the release; return the exit status."""
    parser = argparse.ArgumentParser(prog="make release", description="Build what is released.")
    parser.add_argument("--tag", help="the tag that is released: it must be the version, of a clean checkout")
    tag = parser.parse_args(arguments).tag
    out = ROOT / "build" / "release"
    shutil.rmtree(out, ignore_errors=True)
    try:
        if tag:
            check(tag)
        folder = build(ROOT / "build" / "hub", out)
        for template in (HUB, MONITOR):
            package.lint(folder / template)
    except (NotReleasable, package.BrokenPackage, subprocess.CalledProcessError) as e:
        print(f"release: {e}", file=sys.stderr)
        return 1
    print("Built from", *checkout.described(ROOT, SOURCES), sep="\n")
    print((folder / SUMS).read_text(encoding="utf-8"), end="")
    print(f"{folder.relative_to(ROOT)}, and the same as {folder.name}.zip")
    return 0


def version() -> str:
    """Return the version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def check(tag: str) -> None:
    """Raise NotReleasable unless this checkout may be released under a tag."""
    if tag != f"v{version()}":
        raise NotReleasable(
            f"the tag is {tag}, and pyproject.toml has the version {version()}: the tag must be v{version()}"
        )
    if checkout.commit(ROOT) == checkout.UNKNOWN:
        raise NotReleasable(f"{ROOT} is no git checkout: nothing says that its sources are those of the tag {tag}")
    if changed := [line for line in checkout.described(ROOT, SOURCES) if not line.startswith("commit ")]:
        raise NotReleasable("the package would not be what the tag has:\n" + "\n".join(changed))


def build(hub: Path, out: Path) -> Path:
    """Write the release of a package into ``out``, and return its folder."""
    folder = out / f"ami-promoter-{version()}"
    folder.mkdir(parents=True)
    for source, name in COPIED.items():
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, to)
    zipped = (hub / "deployment.zip").read_bytes()
    key = f"ami-promoter-hub-{version()}-{hashlib.sha256(zipped).hexdigest()[:NAMED_DIGITS]}.zip"
    (folder / key).write_bytes(zipped)
    for built, released in ((package.HUB_STACK.file, HUB), (package.MONITOR_STACK.file, MONITOR)):
        template = yaml.safe_load((hub / built).read_text(encoding="utf-8"))
        (folder / released).write_text(package.written(from_a_bucket(template, key)), encoding="utf-8")
    shutil.copyfile(hub / package.BILL, folder / package.BILL)
    wheel.build(folder)
    files = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    (folder / SUMS).write_text(sums, encoding="utf-8")
    content = {f"{folder.name}/{name}": data for name, data in {**files, SUMS: sums.encode()}.items()}
    wheel.write_zip(out / f"{folder.name}.zip", content)
    return folder


def from_a_bucket(template: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a template whose functions take the package ``key`` from the bucket of a further parameter.

    The template has the file's name, not a parameter: an update keeps the value that a parameter had before.
    """
    template["Parameters"] = {
        "PackageBucket": {
            "Type": "String",
            "Description": "Bucket, in the stack's Region, into which the package was copied.",
            "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            "ConstraintDescription": "the name of a bucket, without s3://.",
        },
        "PackagePrefix": {
            "Type": "String",
            "Default": "",
            "Description": "Folder of the package in that bucket. There it has its file's name, which the template has, too.",
            "AllowedPattern": "^([A-Za-z0-9!_.*'()-]+/)*$",
            "ConstraintDescription": "empty, or a folder that ends with /.",
        },
        **template["Parameters"],
    }
    interface = template.get("Metadata", {}).get("AWS::CloudFormation::Interface", {"ParameterGroups": []})
    interface["ParameterGroups"].insert(
        0, {"Label": {"default": "Where the package lies"}, "Parameters": ["PackageBucket", "PackagePrefix"]}
    )
    for resource in template["Resources"].values():
        if resource.get("Type") == "AWS::Lambda::Function":
            code = {"S3Bucket": {"Ref": "PackageBucket"}, "S3Key": {"Fn::Sub": f"${{PackagePrefix}}{key}"}}
            resource["Properties"]["Code"] = code
    return template


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
