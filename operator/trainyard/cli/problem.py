"""What ends a command: a sentence for stderr and an exit status (docs/cli.md lists them)."""

FAILED = 1  # what was asked for could not be done
USAGE = 2  # what was asked for makes no sense; nothing was changed
RUN_FAILED = 3  # the run that was waited for failed
RUN_CANCELLED = 4  # it was cancelled
RUN_TIMED_OUT = 5  # it took longer than its pipeline allows
ROLLOUT_REJECTED = 3  # the rollout that was waited for was aborted, or is refused
ROLLOUT_BACK = 4  # it was called back: stable, or yet another version, was wanted before it was promoted
ROLLOUT_WAITS = 6  # only a person can make it go on
WAITED_ENOUGH = 124  # --timeout is over and the run goes on; as timeout(1) has it
INTERRUPTED = 130  # Ctrl-C, as shells have it


class Problem(Exception):
    """A command cannot go on; `str()` is the sentence that the user reads."""

    def __init__(self, sentence: str, status: int = FAILED) -> None:
        super().__init__(sentence)
        self.status = status
