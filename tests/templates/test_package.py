"""The package: complete, independent, reproducible, and refused when it is not."""

import gzip
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import botocore
import pytest

from tests.templates.conftest import FUNCTIONS, MONITORING, ROOT, commit_all, copied, run_tool
from tools import checkout, extras, sbom, sdk_data, verify
from tools.package import BrokenPackage, check_runtime, check_zip, compiled

SDK = Path(botocore.__file__).parent / "data"

ALONE = """
import json, pkgutil, sys

def refuse(event, about):
    if event.startswith("socket.") and event != "socket.__new__":
        raise RuntimeError("import speaks to the network: " + event)
    if event == "compile" and str(about[1]).startswith(sys.argv[1]):
        raise RuntimeError("not compiled: " + str(about[1]))

sys.path.insert(0, sys.argv[1])
sys.addaudithook(refuse)
import app, chalicelib
for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
    __import__(module.name)
wired = {f.handler_string.removeprefix("app."): f.name for f in app.app.event_sources}
assert all(callable(getattr(app, handler)) for handler in wired)
import boto3, aws_lambda_powertools
print(json.dumps({"wired": wired, "from": [m.__file__ for m in (app, chalicelib, boto3, aws_lambda_powertools)]}))
"""


@pytest.fixture(scope="module")
def content(package: Path) -> dict[str, bytes]:
    """What is in the zip."""
    with zipfile.ZipFile(package / "deployment.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the package's sources, with new times, and nothing built yet."""
    files = ("app.py", "LICENSE", "pyproject.toml", "requirements.txt")
    return copied(tmp_path / "source", ("chalicelib", "tools", ".chalice", "deploy"), files)


def test_the_zip_runs_alone(package: Path, tmp_path: Path):
    """Without site-packages, environment or network it imports, compiles nothing, and has all nine handlers."""
    with zipfile.ZipFile(package / "deployment.zip") as archive:
        archive.extractall(tmp_path)  # noqa: S202 - the zip built here
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", ALONE, str(tmp_path)],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["wired"] == {name.replace("-", "_"): name for name in (FUNCTIONS | MONITORING).values()}
    assert all(Path(it).is_relative_to(tmp_path) for it in answer["from"])


def test_only_what_runs_ships(content):
    """The zip has no command line, simulator, tests, tools or configuration."""
    tops = {name.split("/")[0] for name in content}
    ours = {"ami_promoter", "awsim", "demo", "tests", "tools", "docs", ".chalice", "deploy"}

    assert {"app.py", "chalicelib", "chalice", "boto3", "aws_lambda_powertools"} <= tops
    assert not tops & {*ours, "moto", "pytest", "pip"}


def allowed_by_policies(pattern: str) -> set[str]:
    """What matches in the policies of the hub's functions and of the targets' roles."""
    policies = [*(ROOT / ".chalice" / "policies").glob("*.json"), ROOT / "deploy" / "target.yaml"]
    return set(re.findall(pattern, " ".join(path.read_text() for path in policies)))


def test_of_the_sdk_only_the_services_that_are_called_are_described(content):
    """Descriptions of some 400 other services were most of the zip. Those that a policy allows stay, and STS."""
    data = [name.split("/") for name in content if name.startswith("botocore/data/")]
    asked = allowed_by_policies(r"\b([a-z]+):[A-Z][A-Za-z]+\*?\b")
    allowed = {service for service in asked if service not in ("logs", "aws", "lambda")}

    assert {path[2] for path in data if len(path) > 3} == set(sdk_data.SERVICES)
    assert allowed <= set(sdk_data.SERVICES)


@pytest.mark.parametrize(("service", "version", "fewest"), [("ec2", "2016-11-15", 16), ("ssm", "2014-11-06", 4)])
def test_of_a_large_service_all_that_a_policy_allows_is_described(content, service, version, fewest):
    """With all shapes of these operations, as the SDK has them, so that nothing in an answer gets lost."""
    name = f"{service}/{version}/service-2.json"
    ours = json.loads(content[f"botocore/data/{name}"])
    whole = sdk_data.without_texts(json.loads(gzip.decompress((SDK / f"{name}.gz").read_bytes())))
    asked = allowed_by_policies(rf"\b{service}:(\w+)\b")
    referred = set(re.findall(r'"shape":"(\w+)"', json.dumps(ours, separators=(",", ":"))))

    assert set(ours["operations"]) == asked & set(whole["operations"])
    assert len(ours["operations"]) >= fewest
    for part in ("operations", "shapes"):
        assert ours[part] == {name: whole[part][name] for name in ours[part]}
    assert referred == set(ours["shapes"])


def test_the_bill_of_materials_lists_what_is_in_the_zip(package: Path):
    """Each library and Chalice's runtime, with version and licence; and the zip itself, by its hash."""
    bill = json.loads((package / "sbom.cdx.json").read_text(encoding="utf-8"))
    zipped = (package / "deployment.zip").read_bytes()
    pins = re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"))
    listed = {one["purl"] for one in bill["components"]}

    assert {f"pkg:pypi/{name}@{version}" for name, version in pins} < listed
    assert {one["name"] for one in bill["components"]} - {name.replace("-", "_") for name, _ in pins} <= {
        "chalice",
        "aws_lambda_powertools",
        *(name for name, _ in pins),
    }
    assert all(one["licenses"] for one in bill["components"])
    assert bill["metadata"]["component"]["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(zipped).hexdigest()}
    ]
    assert {one for it in bill["dependencies"] for one in it["dependsOn"]} == listed


@pytest.mark.thorough
def test_it_is_the_same_every_time(package: Path, source: Path):
    """Built in another directory at another time, template and zip are equal to the byte."""
    done = run_tool(source, "package", PYTHONDONTWRITEBYTECODE="", PYTHONHASHSEED="7", TZ="Asia/Tokyo")

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for name in ("deployment.zip", "template.yaml", "monitor.yaml"):
        ours, theirs = ((at / name).read_bytes() for at in (package, source / "build" / "hub"))
        assert hashlib.sha256(ours).hexdigest() == hashlib.sha256(theirs).hexdigest(), (
            f"{name} differs; if the source is newer than build/hub, run `make package` first."
        )
    ours, theirs = (json.loads((at / "sbom.cdx.json").read_text()) for at in (package, source / "build" / "hub"))
    assert theirs["metadata"]["component"].pop("properties") == [{"name": sbom.COMMIT, "value": checkout.UNKNOWN}]
    ours["metadata"]["component"].pop("properties")
    assert ours.pop("serialNumber") != theirs.pop("serialNumber")
    assert ours == theirs


def a_checkout(source: Path) -> str:
    """Put the copied sources under version control; return the commit."""
    commit_all(source)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_bill_names_the_commit_and_what_is_not_in_it(package: Path, source: Path):
    """A file counts only if the package is made from it. A folder of somebody else's checkout has no commit."""
    commit = a_checkout(source)
    (source / "chalicelib" / "new.py").write_text("")
    (source / "LICENSE").write_text("mine")
    (source / "notes.txt").write_text("")
    bill = json.loads(sbom.text(package / "deployment.zip", source))

    assert bill["metadata"]["component"]["properties"] == [
        {"name": "ami-promoter:commit", "value": commit},
        {"name": "ami-promoter:uncommitted", "value": "LICENSE"},
        {"name": "ami-promoter:uncommitted", "value": "chalicelib/new.py"},
    ]
    assert list(checkout.described(source / "chalicelib")) == ["commit unknown: not a git checkout"]


def test_the_bill_has_the_hash_of_each_file(package: Path, content):
    """As ``sha256sum`` prints it for the unpacked zip."""
    bill = json.loads((package / "sbom.cdx.json").read_text(encoding="utf-8"))
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}

    assert hashes == {one["name"]: one["hashes"][0]["content"] for one in bill["metadata"]["component"]["components"]}


JUDGE = "chalicelib/sharing/worker/entitlements.py"
HONEST = b"def judge(self, shares: Sequence[Share], has_time: Callable[[], bool] = lambda: True) -> Judgement:\n"
FORGED = HONEST + b"        return Judgement()\n"


def judged(directory: Path, content: dict[str, bytes]) -> str:
    """Unpack a package, and ask its service who may receive; return "everybody" if it runs the forged code."""
    for name, data in content.items():
        if name.startswith("chalicelib/"):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(data)
    ask = "from chalicelib.sharing.worker.entitlements import LiveEntitlements as it; print(it.judge(None, ()))"
    asked = f"import sys; sys.path.insert(0, {str(directory)!r}); {ask}"
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", asked], capture_output=True, text=True, check=False)
    return "everybody" if done.stdout.startswith("Judgement(") else done.stderr.splitlines()[-1]


def test_a_compiled_file_of_another_source_does_not_run(content, tmp_path):
    """Python compares the hash in it with the source beside it, and compiles the source; so also a patched source."""
    assert HONEST in content[JUDGE]
    place, data = compiled(JUDGE, content[JUDGE].replace(HONEST, FORGED))

    assert (
        judged(tmp_path / "compiled", {**content, place: data}) == judged(tmp_path / "honest", content) != "everybody"
    )
    assert judged(tmp_path / "patched", {**content, JUDGE: content[JUDGE].replace(HONEST, FORGED)}) == "everybody"


def forged(content: dict[str, bytes]) -> tuple[str, bytes]:
    """A compiled file of a forged source that has the honest source's hash."""
    place, data = compiled(JUDGE, content[JUDGE].replace(HONEST, FORGED))
    return place, data[:8] + importlib.util.source_hash(content[JUDGE]) + data[16:]


def test_a_forged_compiled_file_runs_and_is_found_by_comparing(package, content, tmp_path):
    """The hash is no secret, so Python is content with it, and each source is honest: only a comparison finds it."""
    place, data = forged(content)
    assert judged(tmp_path, {**content, place: data}) == "everybody"

    assert list(verify.differences(zipped(tmp_path, {**content, place: data}), package / "deployment.zip")) == [
        f"differs: {place}"
    ]


def zipped(directory: Path, *parts: dict[str, bytes]) -> Path:
    """Write files into a zip as the build does; a name in two parts is in it twice."""
    with zipfile.ZipFile(directory / "given.zip", "w", zipfile.ZIP_DEFLATED) as it, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in parts:
            for name, data in part.items():
                entry = zipfile.ZipInfo(name)
                entry.external_attr = 0o644 << 16
                it.writestr(entry, data)
    return directory / "given.zip"


def test_a_comparison_tells_what_is_there_besides_what_is_missing_and_what_is_there_twice(package, content, tmp_path):
    """Which of two files of one name is unpacked depends on the program."""
    less = {name: data for name, data in content.items() if name != "LICENSE"}
    given = zipped(tmp_path, less, {"sitecustomize.py": b"", "app.py": content["app.py"]})

    assert list(verify.differences(given, package / "deployment.zip")) == [
        "is missing: LICENSE",
        "must not be there: app.py (number 2 of this name)",
        "must not be there: sitecustomize.py",
    ]


@pytest.mark.thorough
def test_verify_package_builds_again_and_says_from_what(package, source, content, tmp_path):
    """Exit status 0 for the same files, 1 if any differs; an uncommitted change of the checkout is named."""
    commit = a_checkout(source)
    same = run_tool(source, "verify", package / "deployment.zip")
    assert (same.returncode, same.stdout.splitlines()) == (
        0,
        ["Built again from", f"commit {commit}", f"{package / 'deployment.zip'}: the same files, byte by byte."],
    )

    place, data = forged(content)
    (source / "LICENSE").write_text("mine")
    given = zipped(tmp_path, {**content, place: data})
    other = run_tool(source, "verify", given)
    assert (other.returncode, other.stdout.splitlines()) == (
        1,
        [
            "Built again from",
            f"commit {commit}",
            "  with an uncommitted change: LICENSE",
            "differs: LICENSE",
            f"differs: {place}",
            f"{given}: 2 differences.",
        ],
    )


def test_what_cannot_be_compared_is_no_difference(tmp_path, capsys):
    """Exit status 2: no file, no zip, or a zip for another Python, with the command that makes that one."""
    (tmp_path / "text").write_text("no zip")
    old = zipped(tmp_path, {"__pycache__/app.cpython-39.pyc": b""})

    assert [verify.main([str(path)]) for path in (tmp_path / "nothing", tmp_path / "text", old)] == [2, 2, 2]
    said = capsys.readouterr()
    assert said.out == ""
    assert "was built with Python 3.9: `make PYTHON=python3.9`" in said.err


@pytest.mark.thorough
def test_a_dependency_that_cannot_be_had_stops_the_build(source: Path):
    """Chalice only mentions it and exits with 0; the build fails, says so, and leaves no package."""
    broken = source / "broken-1.0"
    broken.mkdir()
    (broken / "setup.py").write_text(
        "import sys, setuptools\nassert 'bdist_wheel' not in sys.argv\nsetuptools.setup(name='broken', version='1.0')\n"
    )
    (broken / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    with tarfile.open(source / "broken-1.0.tar.gz", "w:gz") as archive:
        archive.add(broken, "broken-1.0")
    digest = hashlib.sha256((source / "broken-1.0.tar.gz").read_bytes()).hexdigest()
    (source / "requirements.txt").write_text(f"broken==1.0 --hash=sha256:{digest}\n")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(source), "PIP_NO_BUILD_ISOLATION": "0"}

    done = run_tool(source, "package", **offline)

    assert done.returncode == 1
    assert "Could not install dependencies:\nbroken==1.0" in done.stderr
    assert "requirements.txt" in done.stderr
    assert not (source / "build" / "hub").exists()


def test_nothing_is_taken_without_its_hash(source: Path):
    """Also for an installed library: the pinned hash decides."""
    pinned = (source / "requirements.txt").read_text(encoding="utf-8")
    (source / "requirements.txt").write_text(re.sub(r" \\\n +--hash=\S+", "", pinned))

    done = run_tool(source, "package")

    assert done.returncode == 1
    assert not (source / "build" / "hub").exists()


@pytest.mark.parametrize(
    ("without", "with_", "fault"),
    [
        ("boto3-1.44.8.dist-info", None, "boto3 1.44.8 is missing"),
        ("app.py", None, "app.py is missing"),
        ("botocore", None, "botocore does not describe ec2"),
        ("boto3-1.44.8.dist-info/LICENSE", None, "boto3-1.44.8 ships without its licence"),
        (None, "awsim/world.py", "awsim must not ship"),
        (None, "ami_promoter/cli.py", "ami_promoter must not ship"),
        (None, "chalicelib/__pycache__/a.cpython-311.pyc", "a.cpython-311.pyc must not ship: it has no source"),
        ("chalicelib/entry/__pycache__", None, "chalicelib/entry/__pycache__/bootstrap.*pyc is missing"),
    ],
)
def test_a_zip_that_is_not_fit_is_refused(package: Path, tmp_path: Path, without, with_, fault):
    """The build names a missing dependency, licence or module, or one that must not ship."""
    with zipfile.ZipFile(package / "deployment.zip") as whole, zipfile.ZipFile(tmp_path / "it.zip", "w") as it:
        for name in whole.namelist():
            if not without or not f"{name}/".startswith(f"{without}/"):
                it.writestr(name, "")
        if with_:
            it.writestr(with_, "")

    with pytest.raises(BrokenPackage, match=fault):
        check_zip(tmp_path / "it.zip")


HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"


def check(folder: Path, tag: str, runtime: str = f"python{HERE}") -> None:
    """Check a package with one wheel, for a function with this runtime."""
    worker = {"Type": "AWS::Lambda::Function", "Properties": {"Runtime": runtime}}
    wheel = {"fast-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n".encode()}
    check_runtime(zipped(folder, wheel), {"Resources": {"Worker": worker}})


PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11", "python3", "python")


@pytest.mark.parametrize(
    ("suitable", "chosen"),
    [
        (PYTHONS, "python3.14"),
        (("python3", "python3.12", "python3.11"), "python3.12"),
        (("python", "python3"), "python3"),
    ],
)
def test_make_takes_the_newest_python_that_lambda_has(tmp_path, suitable, chosen):
    """Where a name answers with no suitable Python, or is a shim without one behind it, the next is asked."""
    for name in PYTHONS:
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {0 if name in suitable else 1}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "-f", "-", "show"],
        input="include Makefile\nshow:\n\t@echo $(PYTHON)\n",
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == str(tmp_path / chosen)


def test_a_runtime_that_is_not_the_builders_is_refused(tmp_path):
    """A compiled module for one Python would not load in another, and the function would not start."""
    with pytest.raises(BrokenPackage, match=f"Worker runs on python3.9, and the package was built with python{HERE}"):
        check(tmp_path, "py3-none-any", "python3.9")


@pytest.mark.parametrize(
    "tag",
    [
        "py3-none-any",
        "py2.py3-none-any",
        f"{TAG}-{TAG}-manylinux2014_x86_64",
        f"{TAG}-{TAG}-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp38-abi3-manylinux2014_x86_64",
    ],
)
def test_a_wheel_for_the_runtime_is_taken(tmp_path, tag):
    """Pure Python, this Python's, or a stable-ABI wheel of an older one."""
    check(tmp_path, tag)


@pytest.mark.parametrize(
    "tag",
    [
        "cp39-cp39-manylinux2014_x86_64",
        "cp399-abi3-manylinux2014_x86_64",
        f"{TAG}-{TAG}-macosx_11_0_arm64",
        f"{TAG}-{TAG}-manylinux2014_aarch64",
        f"{TAG}-{TAG}-win_amd64",
        "py2-none-any",
    ],
)
def test_a_wheel_for_another_machine_is_refused(tmp_path, tag):
    """The message says what it is for."""
    with pytest.raises(BrokenPackage, match=f"fast-1.0 is a wheel for {tag}, not for python{HERE} on Linux x86_64"):
        check(tmp_path, tag)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (
            {"one": "Resources: {Table: {Type: A}}", "two": "Resources: {Table: {Type: B}}"},
            "two.yaml: another file has Table",
        ),
        ({"one": "Description: a", "two": "Description: b"}, "two.yaml: another file has Description"),
        ({"one": "Resources:\n  Table: {Type: A}\n  Table: {Type: B}\n", "two": "Outputs: {}"}, "line 2: Table"),
    ],
)
def test_a_name_that_stands_twice_in_the_extras_is_refused(tmp_path, files, named):
    """YAML takes the later one and says nothing."""
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(extras.TwiceNamed, match=named):
        extras.read(files, tmp_path)


def test_every_file_of_the_extras_is_packaged():
    """The order in which they are read is written down, and no file is left out of it."""
    assert sorted(extras.HUB + extras.MONITOR) == sorted(file.stem for file in extras.FOLDER.iterdir())
