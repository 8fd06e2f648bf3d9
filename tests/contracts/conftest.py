"""The API server of the rig tests, for the contract suites too."""

from tests.rig.conftest import rig

__all__ = ["rig"]
