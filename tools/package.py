"""Build what is deployed: ``build/hub/template.yaml``, ``monitor.yaml``, the ``deployment.zip`` both name, and its bill.

Chalice packages the code and writes a template of all functions (``sam.json``). Each stack takes its own functions from
it; merged into them are ``.chalice/extras/`` and, for each function, its fixed names and its written policy from
``.chalice/policies/``. The result is translated from SAM to plain CloudFormation, so that what is linted, tested and run
in the simulator is what CloudFormation gets.

    python -m tools.package [OUTPUT_DIRECTORY]

Exits with status 1 and says why when something that would only show in AWS is wrong already here.
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml
from chalice.package import TemplateDeepMerger
from samtranslator.metrics.method_decorator import MetricsMethodWrapperSingleton
from samtranslator.translator.transform import transform

from tools import extras, sbom, sdk_data
from tools.template_checks import problems

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STAGE = "hub"
MONITORING = ("access-monitor", "drift-audit")
"""The functions of the access monitor's stack; all others are the hub's."""
PARTS = (
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Conditions",
    "Resources",
    "Outputs",
)
BILL = "sbom.cdx.json"
PLACEHOLDER = "s3://placeholder/deployment.zip"
"""SAM translates no local path; what it makes of this is turned back into one afterwards."""

BOUNDARY = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/${PermissionsBoundary}"}
"""The permissions boundary of every role, if the stack has one."""

UNUSED = ("boto3/data/", "aws_lambda_powertools/event_handler/", "aws_lambda_powertools/utilities/")
"""What the libraries bring and no function reads: resource models of boto3, a web framework, and helpers for handlers."""
USED = ("aws_lambda_powertools/utilities/__init__.py", "aws_lambda_powertools/utilities/jmespath_utils/")
"""Among these, what Powertools' logger imports."""
HASH_CHECKED = 0b11
"""A compiled file's flags: it names its source by a hash, not by a time, and Python compares it at each import (PEP
552). The hash is no secret, so this finds a source or a compiled file that was changed alone by mistake, and no
forgery: for that there is ``tools.verify``."""
NO_REFERENCES = 2
"""The newest form of marshalled code that does not depend on what else the process has loaded."""


@dataclass(frozen=True, slots=True)
class PackagedStack:
    """A template that is written, and the extras that are merged into its part of Chalice's."""

    file: str
    subjects: Sequence[str]
    borrows: Sequence[str] = ()
    """Extras of whose parameters and conditions it takes those that it refers to."""


HUB_STACK = PackagedStack("template.yaml", extras.HUB)
MONITOR_STACK = PackagedStack("monitor.yaml", extras.MONITOR, extras.HUB)


class BrokenPackage(Exception):
    """The package is not fit to be deployed; the text says why, and what to do."""


def main(arguments: list[str]) -> int:
    """Build into the directory given (``build/hub`` if none is); return the exit status."""
    out = Path(arguments[0]) if arguments else ROOT / "build" / "hub"
    try:
        build(out)
    except (BrokenPackage, extras.TwiceNamed) as e:
        print(f"package: {e}", file=sys.stderr)
        return 1
    print(f"{os.path.relpath(out)}: two templates, deployment.zip ({zip_size(out)} MB), {BILL}, sam.json")
    return 0


def build(out: Path) -> None:
    """Write ``sam.json``, both templates, ``deployment.zip`` and its bill of materials into ``out``: all, or none.

    Raises BrokenPackage.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".package-") as name:
        work = Path(name).resolve()
        copy_source(work / "source")
        run_chalice(work)
        order_zip(work / "deployment.zip")
        check_zip(work / "deployment.zip")
        sam = json.loads((work / "sam.json").read_text(encoding="utf-8"))
        for stack in (HUB_STACK, MONITOR_STACK):
            template = translate(merged(sam, stack))
            check_runtime(work / "deployment.zip", template)
            if found := problems(template):
                raise BrokenPackage(f"{stack.file} has faults after translation:\n  " + "\n  ".join(found))
            (work / stack.file).write_text(written(template), encoding="utf-8")
            lint(work / stack.file)
        out.mkdir(exist_ok=True)
        (work / BILL).write_text(sbom.text(work / "deployment.zip", ROOT), encoding="utf-8")
        for file in ("deployment.zip", BILL, "sam.json", HUB_STACK.file, MONITOR_STACK.file):
            (work / file).replace(out / file)


def merged(sam: Mapping[str, Any], stack: PackagedStack) -> dict[str, Any]:
    """Return Chalice's template without the functions of the other stack, with what is merged into it."""
    others = {
        f"{_logical(function)}{part}"
        for function in settings_of_functions()
        if (function in MONITORING) != (stack is MONITOR_STACK)
        for part in ("", "Role", "LogGroup")
    }
    own = {**sam, "Resources": {name: it for name, it in sam["Resources"].items() if name not in others}}
    template: dict[str, Any] = TemplateDeepMerger().merge(merge_template(stack), own)
    return template


def settings_of_functions() -> dict[str, Any]:
    """Return the functions and their settings for Chalice, in its configuration's order."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text(encoding="utf-8"))
    functions: dict[str, Any] = config["stages"][STAGE]["lambda_functions"]
    return functions


def _logical(function: str) -> str:
    return "".join(word.capitalize() for word in function.split("-"))


def merge_template(stack: PackagedStack = HUB_STACK) -> dict[str, Any]:
    """Return what is merged over Chalice's template: a stack's extras, and each function's names and policy."""
    merge = extras.read(stack.subjects)
    resources = merge["Resources"]
    of_all = (ROOT / ".chalice" / "policies" / "every_function.json").read_text(encoding="utf-8")
    for function, settings in settings_of_functions().items():
        if (function in MONITORING) != (stack is MONITOR_STACK):
            continue
        logical = _logical(function)
        policy = json.loads((ROOT / ".chalice" / settings["iam_policy_file"]).read_text(encoding="utf-8"))
        policy["Statement"] += json.loads(of_all.replace("${Function}", function))["Statement"]
        named = {"Fn::Sub": f"ami-promoter-${{AWS::Region}}-{function}"}
        mine = resources.setdefault(logical, {})
        mine.setdefault("Properties", {})["FunctionName"] = named
        # The log group first, or the function's first line makes one that is never tidied and fails the stack.
        mine["DependsOn"] = [f"{logical}LogGroup", *mine.get("DependsOn", ())]
        resources[f"{logical}LogGroup"] = {
            # An earlier failed creation must not leave a group of this name: it would fail the next one.
            "DeletionPolicy": "RetainExceptOnCreate",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "LogGroupName": {"Fn::Sub": f"/aws/lambda/ami-promoter-${{AWS::Region}}-{function}"},
                "RetentionInDays": {"Ref": "KeepHistoryDays"},
                "KmsKeyId": given("HasDataKey", {"Ref": "DataKeyArn"}),
            },
        }
        resources[f"{logical}Role"] = {
            "Properties": {
                "RoleName": named,
                "PermissionsBoundary": given("HasBoundary", BOUNDARY),
                "Policies": [{"PolicyName": "ami-promoter", "PolicyDocument": substituted(policy)}],
            }
        }
    if stack.borrows:
        borrow(merge, extras.read(stack.borrows))
    return merge


def borrow(merge: dict[str, Any], lender: Mapping[str, Any]) -> None:
    """Add to ``merge`` the parameters and conditions that it refers to and only ``lender`` has.

    The two stacks then have them alike, and take the same values.
    """
    for part in ("Conditions", "Parameters"):  # a condition refers to parameters
        named = set(_named(merge))
        lent = {name: it for name, it in lender[part].items() if name in named}
        merge[part] = lent | merge[part]


def _named(value: Any) -> Iterator[str]:
    """Yield every word that may name a parameter or a condition, wherever a template can refer to one."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key in ("Ref", "Condition") and isinstance(child, str):
                yield child
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)\}", str(child))
            elif key == "Fn::If":
                yield child[0]
            yield from _named(child)
    elif isinstance(value, list):
        for child in value:
            yield from _named(child)


def given(condition: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a property's value where it depends on a condition; the property is left out otherwise."""
    return {"Fn::If": [condition, value, {"Ref": "AWS::NoValue"}]}


def substituted(value: Any) -> Any:
    """Put ``Fn::Sub`` around every string that speaks of ``${AWS::Region}``, a parameter or the like."""
    if isinstance(value, str):
        return {"Fn::Sub": value} if "${" in value else value
    if isinstance(value, Mapping):
        return {key: substituted(child) for key, child in value.items()}
    return [substituted(child) for child in value] if isinstance(value, list) else value


def copy_source(to: Path) -> None:
    """Copy what ships.

    In the working tree Chalice would keep each zip it makes and take it again by a hash that knows no file names:
    after a renaming, or after a build without some dependency, that zip is wrong, and nothing says so.
    """
    ignore = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
    for name in ("chalicelib", ".chalice"):
        shutil.copytree(ROOT / name, to / name, ignore=ignore)
    for name in ("app.py", "requirements.txt"):
        shutil.copyfile(ROOT / name, to / name)


def run_chalice(work: Path) -> None:
    """Let Chalice package ``work/source`` and write template and zip into ``work``."""
    done = subprocess.run(
        [BIN / "chalice", "package", "--stage", STAGE, str(work)],
        cwd=work / "source",
        # Chalice will not start without a Region (none gets in), and would ship what its import of app.py compiles.
        # Nothing is fetched whose hash is not written down: also not by a later step, which names a package only.
        env=os.environ | {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1", "PIP_REQUIRE_HASHES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    # A dependency without a wheel for Lambda is only mentioned, and left out of the zip, with exit status 0.
    if done.returncode or "Could not install dependencies" in done.stdout:
        said = "\n".join(line for line in done.stdout.splitlines() if line.strip())
        raise BrokenPackage(
            f"chalice package failed:\n{said[-1500:]}\n"
            "If it is about dependencies: is the package index reachable, and does each line of requirements.txt have "
            "its hashes, and a wheel for any machine or for the one that builds and manylinux x86_64 alike? If it is a traceback out of app.py: repair that first."
        )


def ships(name: str) -> bool:
    """Whether a file of a library is read by some function."""
    return not name.startswith(UNUSED) or name.startswith(USED)


def order_zip(path: Path) -> None:
    """Write the zip again without what is unused, with all licences, compiled, sorted, and with fixed modes.

    The same files give the same bytes, on the same Python.
    """
    with zipfile.ZipFile(path) as old:
        content = {name: old.read(name) for name in old.namelist() if ships(name)}
    content = sdk_data.trimmed(content, ROOT)
    content.update(licences())
    content.update([compiled(name, data) for name, data in content.items() if name.endswith(".py")])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in sorted(content.items()):
            entry = zipfile.ZipInfo(name)  # 1980
            entry.external_attr = 0o644 << 16
            new.writestr(entry, data, zipfile.ZIP_DEFLATED)


def compiled(name: str, source: bytes) -> tuple[str, bytes]:
    """Return the compiled file of a source: where Python looks for it, and its content.

    Lambda keeps none, as its disk is read-only, and would compile all that a function imports at each cold start. A
    Python of another minor version looks for another name, and compiles as before.
    """
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + HASH_CHECKED.to_bytes(4, "little") + importlib.util.source_hash(source)
    place = importlib.util.cache_from_source(name, optimization="")
    return place, head + marshal.dumps(code, NO_REFERENCES)


def licences() -> Iterator[tuple[str, bytes]]:
    """Give what Chalice leaves out: the service's own licence, and Chalice's, whose runtime it puts in without."""
    yield "LICENSE", (ROOT / "LICENSE").read_bytes()
    for file in distribution("chalice").files or ():
        if file.parent.name == "licenses" or file.name == "METADATA":
            yield str(file), file.read_binary()


def check_zip(path: Path) -> None:
    """Raise unless the zip holds all that runs, in the pinned versions, and nothing that does not ship."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    there = {re.sub(r"[-_.]+", "-", top.removesuffix(".dist-info").lower()) for top in tops if ".dist-info" in top}
    pins = re.findall(r"(?m)^([A-Za-z0-9_.-]+)==([^\s;\\]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"))
    faults = [
        f"{name} {version} is missing (requirements.txt)"
        for name, version in pins
        if re.sub(r"[-_.]+", "-", f"{name}-{version}".lower()) not in there
    ]
    ours = {importlib.util.cache_from_source(name, optimization="") for name in names if name.endswith(".py")}
    faults += [
        f"{name} must not ship: it has no source" for name in names if name.endswith(".pyc") and name not in ours
    ]
    faults += [f"{name} is missing" for name in sorted(ours - set(names))]
    faults += [f"{top} is missing" for top in ("app.py", "chalicelib", "chalice") if top not in tops]
    described = {name.split("/")[2] for name in names if name.startswith("botocore/data/") and name.count("/") > 2}
    faults += [f"botocore does not describe {service}" for service in sdk_data.SERVICES if service not in described]
    licensed = {name.split(".dist-info/")[0] for name in names if ".dist-info/" in name and "LICENSE" in name}
    without = there - {re.sub(r"[-_.]+", "-", name.lower()) for name in licensed}
    faults += [f"{library} ships without its licence" for library in sorted(without)]
    faults += [
        f"{top} must not ship" for top in ("ami_promoter", "awsim", "demo", "tests", "tools", "moto") if top in tops
    ]
    if faults:
        raise BrokenPackage("deployment.zip:\n  " + "\n  ".join(faults))


def check_runtime(path: Path, template: Mapping[str, Any]) -> None:
    """Raise unless every function runs on the Python that built the zip, and every wheel in it fits that and Lambda.

    Chalice names the runtime after the Python it runs on, and takes the wheels for that; a cached or a hand-made zip
    may still hold another's.
    """
    built_with = f"python{sys.version_info.major}.{sys.version_info.minor}"
    functions = {name: it for name, it in template["Resources"].items() if it["Type"] == "AWS::Lambda::Function"}
    faults = [
        f"{name} runs on {it['Properties']['Runtime']}, and the package was built with {built_with}"
        for name, it in functions.items()
        if it["Properties"]["Runtime"] != built_with
    ]
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".dist-info/WHEEL"):
                tags = re.findall(r"(?m)^Tag: (\S+)", archive.read(name).decode())
                if not any(fits_lambda(tag, built_with) for tag in tags):
                    wheel = name.split("/")[0].removesuffix(".dist-info")
                    faults.append(f"{wheel} is a wheel for {', '.join(tags)}, not for {built_with} on Linux x86_64")
    if faults:
        raise BrokenPackage("deployment.zip does not fit its runtime:\n  " + "\n  ".join(faults))


def fits_lambda(tag: str, runtime: str) -> bool:
    """Whether a wheel of this tag (python-abi-platform) runs on this Python, on Lambda's x86_64."""
    pythons, abi, platforms = tag.split("-")
    version = runtime.removeprefix("python").replace(".", "")
    newest = int(version[1:])
    older = {f"cp3{minor}" for minor in range(2, newest + 1)}
    right_python = pythons in (f"cp{version}", f"py{version}", "py3", "py2.py3") or (abi == "abi3" and pythons in older)
    right_platform = platforms == "any" or re.fullmatch(r"(manylinux\w*|linux)_x86_64(\.\w+)*", platforms) is not None
    return right_python and abi in ("none", "abi3", f"cp{version}") and right_platform


def translate(sam: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain CloudFormation of a SAM template, with ``Code: ./deployment.zip`` and no nulls."""
    source = without_nulls(sam)
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = PLACEHOLDER
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the translator asks for one
    template: dict[str, Any] = transform(source, {}, _NoManagedPolicies())
    MetricsMethodWrapperSingleton.get_instance().publish()  # nowhere: unpublished ones warn at the next translation
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"] = "./deployment.zip"
    return {part: without_nulls(template[part]) for part in PARTS if part in template}


def without_nulls(value: Any) -> Any:
    """Leave out every member that is null: SAM writes some, the extras take away by it what Chalice says."""
    if isinstance(value, Mapping):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def written(template: Mapping[str, Any]) -> str:
    """Return a template as YAML."""
    return yaml.dump(template, Dumper=_Plain, sort_keys=False, width=120)


def lint(template: Path) -> None:
    """Raise with cfn-lint's words if it finds anything, warnings included.

    W3002 says that the path in Code needs ``aws cloudformation package``; so it does.
    """
    done = subprocess.run(
        [BIN / "cfn-lint", "--ignore-checks", "W3002", "--format", "parseable", "--", template],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BrokenPackage(f"cfn-lint finds faults in the translated template:\n{done.stdout}{done.stderr}")


def zip_size(out: Path) -> str:
    """Return the zip's size in MB; Lambda takes 50 MB zipped."""
    return f"{(out / 'deployment.zip').stat().st_size / 1e6:.1f}"


class _NoManagedPolicies:
    """SAM looks up names of managed policies; the project's are all written out."""

    def load(self) -> dict[str, str]:
        return {}


class _Plain(yaml.SafeDumper):
    """YAML without anchors, which CloudFormation does not read."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
