"""Where an artifact may lie: below its own namespace's prefix, however its URI is spelled. Pure. Used by `observe`."""

from trainyard.systems.artifacts.addresses import address


def misplaced(uri: str, bucket: str, namespace: str) -> str:
    """Return why a URI is refused, "" where it lies below `s3://<bucket>/<namespace>/`.

    A percent sign is refused with the rest: some stores and proxies would read `%2e%2e` as a way up.
    """
    own = f"s3://{bucket}/{namespace}/"
    try:
        place = address(uri)
    except ValueError as error:
        return str(error)
    if "%" in uri:
        return f"{uri!r} has a percent sign, which could be read in two ways"
    if place.bucket != bucket or not place.key.startswith(f"{namespace}/") or uri == own:
        return f"the artifact does not lie below {own}"
    if not uri.endswith("/"):
        return f"{uri!r} is no folder: it does not end with a slash"
    return ""
