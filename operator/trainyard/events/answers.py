"""What the receiver answers: an HTTP status, one word to act on, and a sentence. Pure.

Whoever has not proven itself gets UNPROVEN, whatever exists or does not: see `receiving`.
"""

from dataclasses import dataclass

CREATED = "RunCreated"
DUPLICATE = "Duplicate"
TYPE_MISMATCH = "TypeMismatch"
SOURCE_MISMATCH = "SourceMismatch"
PING = "Ping"
TOO_OLD = "TooOld"
MALFORMED = "Malformed"
UNSUPPORTED = "UnsupportedMediaType"
TOO_LARGE = "TooLarge"
TOO_SLOW = "TooSlow"
UNAUTHORIZED = "Unauthorized"
FORBIDDEN = "Forbidden"
NOT_FOUND = "NotFound"
NOT_ALLOWED = "MethodNotAllowed"
PARAMETERS = "ParametersInvalid"
SUSPENDED = "Suspended"
CONFLICT = "NameConflict"
REFUSED = "RunRefused"
QUOTA = "QuotaExceeded"
TOO_MANY = "TooManyEvents"
BUSY = "Busy"
UNAVAILABLE = "Unavailable"
BROKEN = "InternalError"


@dataclass(frozen=True)
class Answer:
    """One answer. `run` names the TrainingRun of the event, `retry_after` (seconds) invites to try again."""

    status: int
    reason: str
    message: str
    run: str = ""
    retry_after: int = 0

    def to_wire(self) -> dict[str, str]:
        """Return the JSON body."""
        return {"reason": self.reason, "message": self.message} | ({"run": self.run} if self.run else {})


class Refused(Exception):
    """The event ends here, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message)
        self.answer = answer


UNPROVEN = Answer(
    401, UNAUTHORIZED, "The request carries no proof that this address takes; docs/events.md lists the kinds of proof."
)
MAY_NOT = Answer(403, FORBIDDEN, "Whoever this token is may not create TrainingRuns in this namespace.")
AWAY = Answer(503, UNAVAILABLE, "The cluster's API server did not answer; send the event again.", retry_after=5)
CROWDED = Answer(503, BUSY, "The receiver has too many requests in hand; send the event again.", retry_after=1)


def malformed(message: str) -> Refused:
    """Return the refusal of a request that cannot be read as an event."""
    return Refused(Answer(400, MALFORMED, message))


def ignored(reason: str, message: str) -> Refused:
    """Return the end of an event that is understood and starts nothing; a sender need not send it again."""
    return Refused(Answer(200, reason, message))
