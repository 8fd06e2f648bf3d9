"""What the operator's log does not carry."""

import subprocess
import sys

PROGRAM = """
from trainyard.__main__ import configure_logging
from trainyard.settings import read_settings

configure_logging(read_settings({
    "TRAINYARD_POD_NAMESPACE": "n", "TRAINYARD_POD_NAME": "p", "TRAINYARD_COURIER_IMAGE": "i",
    "TRAINYARD_SERVER_IMAGE_TENSORFLOW": "i", "TRAINYARD_STORE_BUCKET": "b",
}))
import logging
logging.getLogger("trainyard").info("a line of ours")
from trainyard.systems.metadata.client import MySQLMetadata
"""


def test_alembic_says_nothing_when_it_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.partition("trainyard")[2] for line in done.stderr.splitlines()] == [": a line of ours"]
