"""Installs the Debian packages that the machine lacks, without starting any service."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import versions

POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program before it starts a service; 101 means no."""


class InstallFailed(RuntimeError):
    """apt-get failed; the message ends with what it said last."""


def missing() -> list[str]:
    """The packages of versions.toml that are not installed."""
    wanted = versions.read().debian
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def install() -> str:
    """Install what is missing; what was done, in words."""
    lacking = missing()
    if lacking:
        with _no_services():
            _apt("update", "-q")
            _apt("install", "-y", "-q", "--no-install-recommends", *lacking)
    return f"installed {', '.join(lacking)}" if lacking else "all there"


@contextmanager
def _no_services() -> Iterator[None]:
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InstallFailed("\n".join((done.stdout + done.stderr).splitlines()[-12:]))
