"""What a run says while it goes on: each part when it begins, and how long the one before took."""

import time


class Progress:
    """Prints lines with the seconds since the start. `running` is the part that runs."""

    def __init__(self) -> None:
        self._began = self._part_began = time.monotonic()
        self.running = ""

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def title(self, text: str) -> None:
        """Begin parts of something else."""
        self.done()
        print(f"[{self.seconds:6.1f} s] == {text} ==", flush=True)

    def part(self, text: str) -> None:
        """Begin a part."""
        self.done()
        self.running, self._part_began = text, time.monotonic()
        print(f"[{self.seconds:6.1f} s] {text}", flush=True)

    def done(self) -> None:
        """Say how long the running part took."""
        if self.running:
            print(f"{'':10} took {time.monotonic() - self._part_began:.1f} s", flush=True)
        self.running = ""
