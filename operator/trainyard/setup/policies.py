"""Who may do what in the store: policy documents in S3's own language. Pure.

Each may also list below its prefix: without that right S3 answers 403, not 404, for an object that is not there.
"""

from collections.abc import Sequence
from typing import Any

from trainyard import naming

Policy = dict[str, Any]

GET = ("s3:GetObject",)
PUT = ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


def data_policy(bucket: str, namespace: str) -> Policy:
    """Read a namespace's own prefix and the shared data."""
    return _below(bucket, (namespace, naming.DATA_PREFIX), GET)


def publisher_policy(bucket: str, namespace: str) -> Policy:
    """Write below a namespace's prefix and read it back; delete nothing."""
    return _below(bucket, (namespace,), PUT)


def reader_policy(bucket: str, namespace: str) -> Policy:
    """Read a namespace's prefix."""
    return _below(bucket, (namespace,), GET)


def operator_policy(bucket: str) -> Policy:
    """Read the whole bucket: the operator looks at every namespace's manifests."""
    return _document(_allow(GET, [f"arn:aws:s3:::{bucket}/*"]), _allow(("s3:ListBucket",), [f"arn:aws:s3:::{bucket}"]))


def _below(bucket: str, prefixes: Sequence[str], actions: Sequence[str]) -> Policy:
    listing = _allow(("s3:ListBucket",), [f"arn:aws:s3:::{bucket}"])
    listing["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}/*" for prefix in prefixes]}}
    return _document(_allow(actions, [f"arn:aws:s3:::{bucket}/{prefix}/*" for prefix in prefixes]), listing)


def _document(*statements: dict[str, Any]) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
