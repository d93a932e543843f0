"""The verb ``report``: one page of what is where, what failed, and who can read what."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ami_promoter.hub import organization, pause_switch, recalls
from ami_promoter.hub.aws import Connection, HubError
from ami_promoter.report_page import reading
from ami_promoter.report_page.document import FIRST, NOTHING, render
from ami_promoter.report_page.model import Overview, ReportContext, overview
from ami_promoter.rights import READ_ALL
from ami_promoter.terminal import schema as js
from ami_promoter.terminal.report import NotDone, Report
from ami_promoter.verbs import Matching, Number, VerbCaller, verb
from chalicelib.engine.faults import Fault
from chalicelib.engine.places import Arn
from chalicelib.engine.schedule import DAY

FILE = "ami-promoter-report.html"
ADDRESS = Matching("s3", "s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.{0,1023}[^/]", "an address like s3://bucket/page.html")
CURES = {
    "AccessDenied": "Allow s3:PutObject on {arn}, and kms:GenerateDataKey if the bucket uses its own KMS key.",
    "NoSuchBucket": "Check the bucket's name, or create the bucket.",
    "KMS.DisabledException": "Enable the KMS key of the bucket.",
}
"""Error code of S3 -> what to do."""
PRINTS = js.thing(
    **js.HUB,
    file=js.perhaps(js.text("path of the page; null: it is only in S3")),
    published=js.perhaps(js.text("address of the page in S3; null: without --publish")),
    bytes=js.number("size of the page in bytes"),
    images=js.several(
        "the newest image of each family, those that failed first",
        js.thing(
            image=js.text("its family and version"),
            ami=js.text("id of the source AMI"),
            current=js.number("in how many accounts it is the current one"),
            accounts=js.number("how many accounts have the family, or are to have it"),
            failed=js.number("in how many its delivery failed"),
            running=js.number("in how many its delivery is under way"),
            behind=js.number("how many have an older one, and nothing under way"),
        ),
    ),
    failed=js.number("how many promotions need attention"),
    open=js.number("how many permissions are open now, or may be"),
    unreadable=js.several(
        "records that the command could not read completely; the page says why", js.text("key of a record")
    ),
)


@verb("report", needs=READ_ALL, prints=PRINTS, reads=True)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help=f"The file to write. Default: {FILE}."
)
@click.option(
    "--publish",
    "address",
    type=ADDRESS,
    metavar="s3://BUCKET/KEY",
    help="Write the page to S3, and to a local file only with -o.",
)
@click.option(
    "--days",
    type=Number(3650),
    metavar="N",
    default=30,
    show_default=True,
    help="Show deliveries and closed shares of the last N days.",
)
def report(caller: VerbCaller, output: Path | None, address: str | None, days: int) -> Report:
    """Write an HTML page: images, failures, deliveries, exposure.

    The page shows current images by target, failures with their cures, deliveries over time, and who could read what.
    It is one file that loads nothing and needs no server. The command reads the whole table of records. --publish needs
    `s3:PutObject` on that object; the IAM policies for the command line do not have it.
    """
    connection = caller.connect()
    shown = _read(connection, days)
    page = render(shown).encode()
    file = output or (None if address else Path(FILE))
    if file is not None:
        try:
            file.write_bytes(page)
        except OSError as error:
            what = f"the page could not be written: {error.strerror or error}."
            cure = "Name a file in a directory that you can write to: -o FILE."
            raise NotDone(Fault("unwritable", str(file), what, cure)) from error
    if address:
        _publish(connection, page, address)
    places = [str(one) for one in (file, address) if one]
    open_now = sum(one.open for one in shown.exposures)
    lines = [f"{one}." for one in shown.headlines[:FIRST]] or [NOTHING]
    lines.append(f"Written to {' and '.join(places)} ({len(page):,} bytes).")
    lines.append(f"Promotions that need attention: {len(shown.troubled)}. Open permissions: {open_now}.")
    if held := sum(bool(one.pointer.get("pinned")) for family in shown.families for one in family.current):
        lines.append(f"Parameters that a rollback holds: {held}.")
    lines += [f"Could not be read completely: {record}: {why}" for record, why in shown.damaged.items()]
    data = {
        **connection.named,
        "file": None if file is None else str(file),
        "published": address,
        "bytes": len(page),
        "images": [{**asdict(one), "behind": one.behind} for one in shown.headlines],
        "failed": len(shown.troubled),
        "open": open_now,
        "unreadable": list(shown.damaged),
    }
    return Report(tuple(lines), data)


def _read(connection: Connection, days: int) -> Overview:
    trouble = tuple(organization.trouble_lines(connection))
    paused = pause_switch.said(pause_switch.read(connection))
    since = int(connection.now()) - days * DAY
    records = reading.read(connection, since)
    now = int(connection.now())
    place = connection.account, connection.region, connection.table
    return overview(records, ReportContext(*place, now, since, days, paused, trouble, recalls.every(connection)))


def _publish(connection: Connection, page: bytes, to: str) -> None:
    """Write the page to ``s3://BUCKET/KEY``, uncached, with the bucket's default encryption."""
    bucket, _, key = to.removeprefix("s3://").partition("/")
    try:
        with connection.telling(f"writing the page to {to}"):
            connection.client("s3").put_object(
                Bucket=bucket, Key=key, Body=page, ContentType="text/html; charset=utf-8", CacheControl="no-store"
            )
    except HubError as error:
        fault = error.fault
        arn = Arn(connection.partition, "s3", "", "", f"{bucket}/{key}")
        raise HubError(fault.what, to, CURES.get(fault.code, fault.cure).format(arn=arn), fault.code) from error
