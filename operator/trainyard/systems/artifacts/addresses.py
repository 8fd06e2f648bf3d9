"""Artifact URIs, `s3://<bucket>/<key>`: taken apart and checked in one place, by client, fake and courier."""

from typing import NamedTuple

SCHEME = "s3://"


class Address(NamedTuple):
    """A place in the store. A prefix's key ends with a slash, or is empty for the whole bucket."""

    bucket: str
    key: str


def address(uri: str) -> Address:
    """Take a URI apart. Raises ValueError with a sentence where it is not an `s3://` URI or its key is not plain."""
    if not uri.startswith(SCHEME):
        raise ValueError(f"{uri!r} does not begin with {SCHEME}")
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    if not bucket or not set(bucket) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-"):
        raise ValueError(f"{uri!r} names no proper bucket")
    check_key(key)
    return Address(bucket, key)


def check_key(key: str) -> None:
    """Refuse a key that could be read in two ways: `..`, `.`, empty parts, backslashes, control characters."""
    parts = key.removesuffix("/").split("/") if key else []
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"key {key!r} has an empty, '.' or '..' part")
    if "\\" in key or not key.isprintable():
        raise ValueError(f"key {key!r} has a backslash or a control character")
    if len(key.encode()) > 1024:
        raise ValueError(f"a key of {len(key.encode())} bytes is longer than the 1024 that S3 takes")
