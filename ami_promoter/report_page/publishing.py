"""Writes the page to S3."""

from __future__ import annotations

from dataclasses import dataclass

from ami_promoter.hub.aws import Connection, HubError

CURES = {
    "AccessDenied": "Allow s3:PutObject on {arn}, and kms:GenerateDataKey if the bucket uses its own KMS key.",
    "NoSuchBucket": "Check the bucket's name, or create the bucket.",
    "KMS.DisabledException": "Enable the KMS key of the bucket.",
}
"""Error code of S3 -> what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address in S3."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @classmethod
    def read(cls, text: str) -> Address:
        """Read ``s3://BUCKET/KEY``."""
        bucket, _, key = text.removeprefix("s3://").partition("/")
        return cls(bucket, key)


def publish(connection: Connection, page: bytes, to: Address) -> None:
    """Write the page, uncached and with the bucket's default encryption. May raise HubError."""
    try:
        with connection.telling(f"writing the page to {to}"):
            connection.client("s3").put_object(
                Bucket=to.bucket, Key=to.key, Body=page, ContentType="text/html; charset=utf-8", CacheControl="no-store"
            )
    except HubError as error:
        fault = error.fault
        arn = f"arn:{connection.partition}:s3:::{to.bucket}/{to.key}"
        raise HubError(fault.what, str(to), CURES.get(fault.code, fault.cure).format(arn=arn), fault.code) from error
