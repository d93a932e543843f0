"""Writes the page to S3."""

from __future__ import annotations

from ami_promoter.hub.aws import Connection, HubError

CURES = {
    "AccessDenied": "Allow s3:PutObject on {arn}, and kms:GenerateDataKey if the bucket uses its own KMS key.",
    "NoSuchBucket": "Check the bucket's name, or create the bucket.",
    "KMS.DisabledException": "Enable the KMS key of the bucket.",
}
"""Error code of S3 -> what to do."""


def publish(connection: Connection, page: bytes, to: str) -> None:
    """Write the page to ``s3://BUCKET/KEY``, uncached, with the bucket's default encryption. May raise HubError."""
    bucket, _, key = to.removeprefix("s3://").partition("/")
    try:
        with connection.telling(f"writing the page to {to}"):
            connection.client("s3").put_object(
                Bucket=bucket, Key=key, Body=page, ContentType="text/html; charset=utf-8", CacheControl="no-store"
            )
    except HubError as error:
        fault = error.fault
        arn = f"arn:{connection.partition}:s3:::{bucket}/{key}"
        raise HubError(fault.what, to, CURES.get(fault.code, fault.cure).format(arn=arn), fault.code) from error
