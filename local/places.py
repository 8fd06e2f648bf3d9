"""Where everything of the local cluster lies: the checkout, the cache of builds, the state of a running cluster.

Both folders are outside the checkout, so that another checkout finds what this one built or started.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LOCAL = CHECKOUT / "local"


def cache() -> Path:
    """Folder of things that are costly to make and never change once made (binaries, wheels, image archives)."""
    chosen = os.environ.get("TRAINYARD_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "trainyard"


def state() -> Path:
    """Folder of the one cluster of this machine: keys, etcd, containerd, logs, pid files."""
    return Path(os.environ.get("TRAINYARD_STATE", "/var/lib/trainyard"))


def lock_file() -> Path:
    """Lock beside the state, not in it: `down` deletes the state while it holds the lock."""
    place = state()
    return place.with_name(place.name + ".lock")


def pip() -> str:
    """A pip of Python 3.11: the one that the Makefile brings, else that of the machine."""
    own = CHECKOUT / ".tools/bin/pip"
    return str(own) if own.exists() else shutil.which("pip3") or "pip3"
