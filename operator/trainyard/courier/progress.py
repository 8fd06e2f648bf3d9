"""Lines of progress of an errand: one at once, then at most one every few seconds."""

import sys
import time

INTERVAL_SECONDS = 5.0
MIB = 1 << 20


class Progress:
    """Counts the bytes and files of one errand and says so on stdout, where `kubectl logs` shows it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._files = self._done_files = self._bytes = self._done_bytes = 0
        self._started = time.monotonic()
        self._said = self._started

    def expect(self, files: int, size: int) -> None:
        """Say what is to come: so many files and bytes (0 where unknown)."""
        self._files, self._bytes = files, size
        self._say(f"{files} files, {size / MIB:.1f} MiB")

    def moved(self, count: int) -> None:
        """Count bytes that went over the wire."""
        self._done_bytes += count
        if time.monotonic() - self._said >= INTERVAL_SECONDS:
            self._say(self._share())

    def finished_file(self) -> None:
        """Count a file as done."""
        self._done_files += 1

    def close(self, sentence: str) -> None:
        """Say how it ended and how long it took."""
        self._say(f"{sentence} ({time.monotonic() - self._started:.1f} s)")

    def _share(self) -> str:
        done, all_ = self._done_bytes / MIB, self._bytes / MIB
        return f"{self._done_files} of {self._files} files, {done:.1f} of {all_:.1f} MiB"

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        sys.stdout.write(f"{self._what}: {text}\n")
        sys.stdout.flush()
