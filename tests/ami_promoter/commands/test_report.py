"""Where ``report`` writes its page, and what it prints when it cannot."""

import json
import re
import shlex
from pathlib import Path

import boto3
import pytest
import yaml

from ami_promoter.cli import main
from ami_promoter.terminal.report import Exit
from chalicelib.targets.applied_file import Directory, Target
from tests.ami_promoter.a_hub import DEV, REGION, a_delivery, apply, promoted

DOCS = Path(__file__).parents[3] / "docs"
ADDRESS = "s3://status-pages/team a/ami.html"


@pytest.fixture
def bucket(client):
    """A bucket beside the hub's tables."""
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="status-pages")
    return s3


def test_without_a_word_it_writes_a_file_here(client, file, tmp_path, run):
    """The file's name is always the same, so that a pipeline finds it."""
    file("")

    said = run("report", "--json").data
    page = (tmp_path / "ami-promoter-report.html").read_bytes()
    assert page.startswith(b"<!DOCTYPE html>")
    assert (said["file"], said["published"], said["bytes"]) == ("ami-promoter-report.html", None, len(page))


@pytest.mark.parametrize("words", [[], ["-o", "page.html"]])
def test_it_is_published_as_a_page_that_nobody_caches(bucket, file, tmp_path, run, words):
    """With -o the command writes the file, too."""
    file("")

    said = run("report", "--publish", ADDRESS, *words)

    put = bucket.get_object(Bucket="status-pages", Key="team a/ami.html")
    page = put["Body"].read()
    assert put["ContentType"] == "text/html; charset=utf-8"
    assert put["CacheControl"] == "no-store"
    assert page.startswith(b"<!DOCTYPE html>")
    assert [one.read_bytes() for one in tmp_path.glob("*.html")] == ([page] if words else [])
    assert f"Written to {'page.html and ' if words else ''}{ADDRESS}" in said.out


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_page_has_the_names_of_accounts(table, file, tmp_path, run, words):
    """Also if a program asks for it: people read the page."""
    apply(Directory({}, {DEV: (Target(DEV, REGION, name="dev"),)}))
    promoted(table, a_delivery(DEV))
    file("")

    run("report", "--days", "3650", *words)

    assert f"dev ({DEV})" in (tmp_path / "ami-promoter-report.html").read_text("utf-8")


def test_a_bucket_that_is_not_there(client, run):
    """Exit status 3, with the bucket's name."""
    said = run("report", "--publish", ADDRESS, exits=Exit.AWS).err
    assert ADDRESS in said
    assert "Check the bucket's name" in said


def test_who_may_not_put_it_there_is_notified_of_the_right_that_is_missing(client, environment, refusing, run):
    """It names the action and the object's ARN."""
    says = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    environment.setenv("AWS_ENDPOINT_URL_S3", refusing(says))

    (fault,) = run("report", "--publish", ADDRESS, "--json", exits=Exit.AWS).data["faults"]
    assert (fault["code"], fault["where"]) == ("AccessDenied", ADDRESS)
    assert "s3:PutObject on arn:aws:s3:::status-pages/team a/ami.html" in fault["cure"]


def test_a_file_that_cannot_be_written(client, file, run):
    """Exit status 1, with what to do."""
    file("")

    (fault,) = run("report", "-o", "no/such/page.html", "--json", exits=Exit.FAULT).data["faults"]
    assert (fault["code"], fault["where"]) == ("unwritable", "no/such/page.html")


@pytest.mark.parametrize(
    "address", ["bucket/page.html", "s3://b", "s3://bucket", "s3://bucket/", "s3://Bucket/x", "s3://bucket/a/"]
)
def test_what_is_no_address_is_refused_before_anything_is_read(environment, run, address):
    """Exit status 2."""
    environment.setenv("AWS_REGION", "us-east-1")

    assert "is not an address like s3://bucket/page.html" in run("report", "--publish", address, exits=Exit.USAGE).err


def block(page, language, having):
    """Return the block of the page's examples that contains this word."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = (one for one in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if having in one)
    return found


def test_the_pipelines_example_publishes(bucket):
    """Its last line, with real values for the placeholders."""
    workflow = yaml.safe_load(block("guide/pipelines.md", "yaml", "ami-promoter report"))
    line = workflow["jobs"]["publish"]["steps"][-1]["run"]
    program, *words = shlex.split(line.replace("HUB_ACCOUNT", "123456789012").replace("BUCKET", "status-pages"))

    assert (program, main(words)) == ("ami-promoter", Exit.OK)

    assert bucket.get_object(Bucket="status-pages", Key="ami-promoter.html")["Body"].read()


def test_the_right_that_the_page_names_is_the_one_that_is_needed():
    """One action on one object."""
    (statement,) = json.loads(block("operations/report.md", "json", "s3:"))["Statement"]

    assert (statement["Action"], statement["Resource"]) == ("s3:PutObject", "arn:aws:s3:::BUCKET/ami-promoter.html")
