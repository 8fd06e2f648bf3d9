"""What a user can set right: wrong parameters and wrong data."""


class Problem(ValueError):
    """A sentence for people; the trainer prints it and exits with 2."""
