"""The examples of docs/guide/pipelines.md, run with the real ``aws`` and ``ami-promoter`` over HTTP.

The surroundings of an example (a runner, Packer, Terraform) are missing: the test takes its commands from the page and
runs them in its shell, as a role with the page's permissions and no others.
"""

import json
import os
import re
import sys
from datetime import timedelta

import hcl2
import pytest
import yaml
from botocore.exceptions import ClientError

from awsim import patterns
from awsim.accounts import SECRET
from awsim.front import Front
from awsim.iam import conditions
from tests.scenarios.platform import ROOT, own_client
from tests.scenarios.scene import DEV, HUB, REGION, TEST
from tests.scenarios.shells import IMPATIENT, run, write_programs

PAGE = (ROOT / "docs" / "guide" / "pipelines.md").read_text(encoding="utf-8")
AWS = ROOT / ".venv-aws" / "bin" / "aws"
A_STEP = timedelta(seconds=20)
"""Virtual time between two looks at the example's shell."""
REFUSED = 5
"""Exit status of ``wait`` for a refused value [docs/reference/cli.md]."""

INSTALLS = "#!/bin/sh\n[ \"$1 $2\" = 'install ami-promoter==0.2.0' ]\n"
"""``pip`` and ``pipx``: they fetch nothing, and refuse what the page does not name."""
PYTHON = f"""\
#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
mkdir -p "$3/bin" && cp "$PROGRAMS/pip" "$PROGRAMS/ami-promoter" "$3/bin/"
"""
AMAZONS = """\
#!/bin/sh
[ "$1 $2" = "ssm get-parameter" ] && {{ echo {image}; exit; }}
exec {aws} "$@"
"""
"""The ``aws`` command line; the simulator has no parameters of Amazon's."""


def blocks(section, language):
    """The code blocks of one language in one section of the page."""
    text = PAGE.split(f"\n### {section}\n")[1].split("\n### ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def documents(section):
    return [json.loads(block) for block in blocks(section, "json")]


def github():
    """Each step in its own shell, as `run:` does."""
    (workflow,) = map(yaml.safe_load, blocks("GitHub Actions", "yaml"))
    return ["set -eo pipefail\n" + step["run"] for step in workflow["jobs"]["golden"]["steps"] if "run" in step]


def codebuild():
    """All commands in one shell, which ends at the first failure."""
    (spec,) = map(yaml.safe_load, blocks("CodePipeline", "yaml"))
    return ["\n".join(["set -e", *(one for phase in spec["phases"].values() for one in phase["commands"])])]


def jenkins():
    """Each `sh` step in its own shell, with -e and the pipeline's environment."""
    (text,) = blocks("Jenkins", "groovy")
    steps = re.findall(r"\bsh (?:'''(.*?)'''|'([^'\n]*)')", text, re.DOTALL)
    ((name, region),) = re.findall(r"environment \{ (\w+) = '(.*)' \}", text)
    assert text.count("{") == text.count("}")
    return [f"set -e\nexport {name}={region}\n{long or short}" for long, short in steps]


def packer():
    """The installation, then the script that shell-local writes, after the manifest."""
    install, *rest = blocks("Packer", "sh")[0].splitlines()
    assert rest == ["packer init .", "packer build ."]
    (text,) = blocks("Packer", "hcl")
    inline = json.loads(re.sub(r",\s*\]", "]", re.search(r"inline = (\[.*?\n\s*\])", text, re.DOTALL)[1]))
    manifest = '{"builds": [{"builder_type": "amazon-ebs", "artifact_id": "us-east-1:%s"}]}\n'
    return [
        install,
        "printf '" + manifest.replace("\n", "\\n") + '\' "$(./build-image)" > manifest.json',
        "\n".join(["set -e", *inline]),
    ]


def terraform():
    """Installation and build, the tag as the provider writes it, then the provisioner's command."""
    install, build, *rest = blocks("Terraform", "sh")[0].splitlines()
    assert rest == ["terraform init", 'terraform apply -auto-approve -var "ami=$(cat ami.txt)"']
    (text,) = blocks("Terraform", "hcl")
    tag = dict(re.findall(r"^  (\w+) += (\S+)$", text.split('resource "aws_ec2_tag"')[1].split("\n}")[0], re.MULTILINE))
    assert tag["resource_id"] == "var.ami"
    command = re.search(r'command = "(.*)"', text)[1].replace("${aws_ec2_tag.promote.resource_id}", "$(cat ami.txt)")
    key, value = (json.loads(tag[name]) for name in ("key", "value"))
    return [
        install,
        build,
        f'aws ec2 create-tags --resources "$(cat ami.txt)" --tags Key={key},Value={value}',
        command,
    ]


SHELLS = {
    "GitHub Actions": github,
    "CodePipeline": codebuild,
    "Jenkins": jenkins,
    "Packer": packer,
    "Terraform": terraform,
}
(RIGHTS,) = documents("Rights of the build")
ADMINISTRATOR = {"AWS_ACCESS_KEY_ID": f"AKIA{HUB}ROOT", "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture
def shell(scene, become, tmp_path):
    """Run scripts until one fails, while virtual time runs; return exit status and output.

    ``rights``: those of the caller, None for an administrator of the hub.
    """
    aws, build = AMAZONS.format(image=scene.image, aws=AWS), f"#!/bin/sh\necho {scene.image}\n"
    fetching = {"pip": INSTALLS, "pipx": INSTALLS, "python3": PYTHON}
    programs = write_programs(
        tmp_path / "bin", {"ami-promoter": IMPATIENT, "aws": aws, "../build-image": build, **fetching}
    )

    def shell(scripts, rights=RIGHTS):
        with Front(scene.world) as front:
            environment = {
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ENDPOINT_URL": front.url,
                "PROGRAMS": str(programs),
                **(become(rights) if rights else ADMINISTRATOR),
            }
            said = ""
            for script in scripts:
                status, words = run(scene.world, ["bash", "-c", script], environment, tmp_path, A_STEP)
                said += words
                if status:
                    return status, said
            return 0, said

    return shell


@pytest.mark.parametrize("tool", SHELLS)
@pytest.mark.thorough_but("GitHub Actions")
def test_the_example_delivers_and_ends_well(scene, shell, tool):
    """With only the page's permissions: built, tagged, waited for, and the target owns the AMI."""
    status, said = shell(SHELLS[tool]())

    assert status == 0, said
    assert scene.world.ec2.tags_of(scene.image, REGION)["promote"] == "dev"
    for account in (DEV, TEST):
        (image,) = scene.client("ec2", account).describe_images(Owners=["self"])["Images"]
        assert image["State"] == "available"
    scene.wait(20)
    scene.assert_invariants()


@pytest.mark.parametrize("tool", SHELLS)
@pytest.mark.thorough_but("GitHub Actions")
def test_the_example_fails_where_the_promotion_does(scene, shell, tool):
    """A value that the service refuses ends the step with the status for it."""
    scripts = [script.replace("Value=dev", "Value=nobody") for script in SHELLS[tool]()]
    assert "Value=nobody" in "".join(scripts)

    status, said = shell(scripts)

    assert status == REFUSED, said
    assert "nobody" in said


def write_tag(resource, key="promote"):
    """Write a tag, or one for each key."""
    keys = [key] if isinstance(key, str) else key
    own_client("ec2").create_tags(Resources=[resource], Tags=[{"Key": one, "Value": "dev"} for one in keys])


def variants(policy):
    """Each policy that lacks one action of this one."""
    for number, statement in enumerate(policy["Statement"]):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        for gone in actions:
            rest = [one for one in actions if one != gone]
            others = [one for n, one in enumerate(policy["Statement"]) if n != number]
            yield gone, {**policy, "Statement": [*others, *([{**statement, "Action": rest}] if rest else [])]}


def test_no_right_of_the_build_is_too_many(scene, become):
    """Without any one of them, writing the tag or waiting for the outcome is refused."""
    scene.promote("dev")
    for action, lesser in variants(RIGHTS):
        become(lesser)
        if action == "ec2:CreateTags":
            with pytest.raises(ClientError, match="UnauthorizedOperation"):
                write_tag(scene.image)
            continue
        status, out, err = scene.cli("wait", scene.image)

        assert status == 3, (action, out + err)
        assert action.partition(":")[2] in out + err


def test_the_pages_first_command_runs_with_the_pages_rights(scene, become):
    """It tags and waits; asking the service to look sooner is refused, which is a warning and delays nothing."""
    become(RIGHTS)

    status, out, err = scene.cli("promote", scene.image, "dev", "--wait", "--timeout", "2h")

    assert (status, "2 targets have the AMI" in out) == (0, True), out + err
    assert "warning: The service was not asked to look at once: these credentials lack dynamodb:UpdateItem." in err


def test_the_build_can_write_no_other_tag_and_remove_none(scene, become):
    """It cannot write another key, alone or beside the trigger, nor tag a snapshot, nor remove a tag.

    Terraform can remove the trigger with the rights that it adds, and no other tag.
    """
    become(RIGHTS)
    refused = [
        lambda: write_tag(scene.image, key="owner"),
        lambda: write_tag(scene.image, key=("promote", "owner")),
        lambda: write_tag(scene.snapshots[0]),
        lambda: own_client("ec2").delete_tags(Resources=[scene.image], Tags=[{"Key": "promote"}]),
    ]

    for call in refused:
        with pytest.raises(ClientError, match="UnauthorizedOperation"):
            call()
    write_tag(scene.image)

    (more,) = documents("Terraform")
    become({**RIGHTS, "Statement": [*RIGHTS["Statement"], *more["Statement"]]})
    own_client("ec2").delete_tags(Resources=[scene.image], Tags=[{"Key": "promote"}])
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        own_client("ec2").delete_tags(Resources=[scene.image], Tags=[{"Key": "Name"}])


def test_the_build_of_the_page_makes_an_ami_under_a_key_of_the_hub(scene, shell, tmp_path):
    """The script runs as it stands there; its AMI is one that the service promotes."""
    (script,) = blocks("The build", "sh")
    (tmp_path / "golden").write_text(script)
    scene.client("kms", HUB).create_alias(AliasName="alias/golden", TargetKeyId=scene.key)

    status, said = shell(["sh ./golden"], rights=None)

    assert status == 0, said
    scene.wait(3600)
    (image,) = scene.client("ec2", HUB).describe_images(ImageIds=[said.strip()])["Images"]
    assert image["State"] == "available"
    snapshots = scene.snapshots_of(image["ImageId"])
    found = scene.client("ec2", HUB).describe_snapshots(SnapshotIds=snapshots)["Snapshots"]
    assert {one["KmsKeyId"] for one in found} == {scene.key}


def test_the_commands_of_the_page_make_each_role(scene, shell, tmp_path):
    """With the page's documents in the files that it names; a session of the build may last as long as the job."""
    _pattern, _machine, rights, start, trust = documents("EC2 Image Builder")
    (github,) = documents("GitHub Actions")
    for name, document in {"rights": RIGHTS, "trust": github, "machine-rights": rights, "start-rights": start}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    status, said = shell(blocks("Rights of the build", "sh"), rights=None)
    assert status == 0, said
    (tmp_path / "trust.json").write_text(json.dumps(trust))
    made = [line for line in blocks("EC2 Image Builder", "bash")[0].splitlines() if line.startswith("aws iam ")]
    status, said = shell(made, rights=None)
    assert status == 0, said

    iam = scene.client("iam", HUB)
    assert iam.get_role(RoleName="golden-build")["Role"]["MaxSessionDuration"] == 18000
    assert iam.get_role_policy(RoleName="golden-build", PolicyName="promote")["PolicyDocument"] == RIGHTS
    for role, policy, document in (("machine", "promote", rights), ("rule", "start", start)):
        name = f"promote-golden-{role}"
        assert iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] == document


def test_each_trust_of_a_service_holds_for_the_account_alone():
    """Another account's project or rule is nobody that the role trusts."""
    trusts = [documents("CodePipeline")[0], documents("EC2 Image Builder")[-1]]

    for trust in trusts:
        (statement,) = trust["Statement"]
        assert conditions.hold(statement["Condition"], {"aws:sourceaccount": HUB})
        assert not conditions.hold(statement["Condition"], {"aws:sourceaccount": DEV})


@pytest.mark.parametrize("tool", ["Packer", "Terraform"])
def test_the_files_of_packer_and_terraform_are_whole(tool):
    """Read with a parser."""
    (text,) = blocks(tool, "hcl")

    whole = {"Packer": {"packer", "source", "build"}, "Terraform": {"terraform", "resource"}}
    assert whole[tool] <= hcl2.loads(text).keys()


@pytest.mark.parametrize(
    ("subject", "audience", "admitted"),
    [
        ("repo:example/golden:ref:refs/heads/main", "sts.amazonaws.com", True),
        ("repo:example/golden:pull_request", "sts.amazonaws.com", False),
        ("repo:example/golden:ref:refs/heads/other", "sts.amazonaws.com", False),
        ("repo:stranger/golden:ref:refs/heads/main", "sts.amazonaws.com", False),
        ("repo:example/golden:ref:refs/heads/main", "other", False),
    ],
)
def test_github_admits_one_branch_of_one_repository(subject, audience, admitted):
    """The trust policy's conditions, evaluated on the claims of GitHub's token."""
    (trust,) = documents("GitHub Actions")
    (statement,) = trust["Statement"]
    issuer = statement["Principal"]["Federated"].partition("oidc-provider/")[2]

    assert conditions.hold(statement["Condition"], {f"{issuer}:sub": subject, f"{issuer}:aud": audience}) is admitted


def test_the_workflow_asks_for_a_token_and_lives_as_long_as_it_waits():
    """GitHub issues no token without that permission; session and job last longer than --timeout."""
    (workflow,) = map(yaml.safe_load, blocks("GitHub Actions", "yaml"))
    job = workflow["jobs"]["golden"]
    (login,) = [step["with"] for step in job["steps"] if "configure-aws-credentials" in step.get("uses", "")]
    minutes = 60 * int(re.search(r"--timeout (\d+)h", job["steps"][-1]["run"])[1])

    assert workflow["permissions"]["id-token"] == "write"
    assert login["role-to-assume"] == f"arn:aws:iam::{HUB}:role/golden-build"
    assert minutes < job["timeout-minutes"] <= login["role-duration-seconds"] / 60


def an_event(status="AVAILABLE", recipe="golden"):
    """Image Builder's event [EC2 Image Builder user guide, events that Image Builder sends]."""
    return {
        "version": "0",
        "id": "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111",
        "detail-type": "EC2 Image Builder Image State Change",
        "source": "aws.imagebuilder",
        "account": HUB,
        "time": "2026-01-18T17:50:56Z",
        "region": REGION,
        "resources": [f"arn:aws:imagebuilder:{REGION}:{HUB}:image/{recipe}/1.0.0/1"],
        "detail": {"previous-state": {"status": "TESTING"}, "state": {"status": status}},
    }


def test_image_builders_event_leads_to_the_tag(scene, become, shell):
    """The pattern matches, the state machine finds this AMI among the outputs, and its role may tag it."""
    pattern, machine, rights, _start, _trust = documents("EC2 Image Builder")
    event = an_event()
    outputs = [
        {"AccountId": HUB, "Region": REGION, "Image": scene.image},
        {"AccountId": HUB, "Region": "eu-west-1", "Image": "ami-0000000000000000a"},
        {"AccountId": DEV, "Region": REGION, "Image": "ami-0000000000000000b"},
    ]
    look, tag = machine["States"][machine["StartAt"]], machine["States"]["Tag"]
    path, filtered = look["Parameters"]["ImageBuildVersionArn.$"], tag["Parameters"]["Resources.$"]
    wanted = dict(re.findall(r"@\.(\w+) == '([^']*)'", filtered))

    assert patterns.problem_of(pattern) is None
    assert patterns.matches(pattern, event)
    assert not patterns.matches(pattern, an_event(status="TESTING"))
    assert not patterns.matches(pattern, an_event(recipe="golden-trial"))
    assert (look["Next"], tag["End"], path) == ("Tag", True, "$.resources[0]")
    assert conditions_of_a_resource(rights, "imagebuilder:GetImage", event["resources"][0])
    assert re.fullmatch(r"\$\.Image\.OutputResources\.Amis\[\?\(.*\)\]\.Image", filtered)

    found = [one["Image"] for one in outputs if wanted.items() <= one.items()]
    become(rights)
    own_client("ec2").create_tags(Resources=found, Tags=tag["Parameters"]["Tags"])

    assert found == [scene.image]
    status, said = shell(["./build-image > ami.txt", *blocks("EC2 Image Builder", "sh")])
    assert status == 0, said


def conditions_of_a_resource(policy, action, arn):
    """Whether a statement allows an action on a resource of a service that is not simulated."""
    allowed = [one["Resource"] for one in policy["Statement"] if one["Action"] == action]
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), arn) for pattern in allowed)
