"""What ends a command: a sentence for stderr and an exit status."""

FAILED = 1  # what was asked for did not come about
USAGE = 2  # what was asked for makes no sense; nothing was changed
INTERRUPTED = 130  # Ctrl-C, as shells have it


class Problem(Exception):
    """A command cannot go on; `str()` is the sentence that the user reads."""

    def __init__(self, sentence: str, status: int = FAILED) -> None:
        super().__init__(sentence)
        self.status = status
