"""Puts the page into a bucket."""

from __future__ import annotations

from dataclasses import dataclass

from ami_promoter.hub.aws import Connection, HubError

CURES = {
    "AccessDenied": "Allow s3:PutObject on {arn}, and kms:GenerateDataKey if the bucket encrypts by a key of its own.",
    "NoSuchBucket": "There is no such bucket: see its name, or make it.",
    "KMS.DisabledException": "Enable the key by which the bucket encrypts.",
}
"""Code of S3's refusal -> what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place in S3."""

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
    """Put the page there, never to be cached, encrypted as the bucket says by default. May raise HubError."""
    try:
        with connection.telling(f"putting the page to {to}"):
            connection.client("s3").put_object(
                Bucket=to.bucket,
                Key=to.key,
                Body=page,
                ContentType="text/html; charset=utf-8",
                CacheControl="no-store",
            )
    except HubError as error:
        fault = error.fault
        arn = f"arn:{connection.partition}:s3:::{to.bucket}/{to.key}"
        raise HubError(fault.what, str(to), CURES.get(fault.code, fault.cure).format(arn=arn), fault.code) from error
