"""How a courier's errand ends: the exit codes of docs/contracts.md, as exceptions with a sentence."""


class Errand(Exception):
    """The errand failed for a reason that another try may not meet: exit code 1."""

    code = 1


class Changed(Errand):
    """An object was replaced between the look at it and its bytes."""


class Unusable(Errand):
    """What was given cannot be used: no model, malformed metrics, a link out of the folder. Exit code 3."""

    code = 3


class DigestMismatch(Errand):
    """The bytes are not those that were promised. Exit code 4."""

    code = 4


class Missing(Errand):
    """An object that must be there is not. Exit code 5."""

    code = 5
