from trainyard.reconciling.trying import FORGOTTEN_SECONDS, LONGEST_PAUSE_SECONDS, Trying


class Clock:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.at = 5000.0

    def __call__(self) -> float:
        return self.at


def test_it_counts_from_the_first_look_and_each_object_alone() -> None:
    clock = Clock()
    trying = Trying(clock)
    assert trying.seconds("a") == 0.0
    clock.at += 30.0
    assert (trying.seconds("a"), trying.seconds("a"), trying.seconds("b")) == (30.0, 30.0, 0.0)
    clock.at += LONGEST_PAUSE_SECONDS
    assert (trying.seconds("a"), trying.seconds("b")) == (30.0 + LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)


def test_an_outage_counts_nothing_and_takes_nothing_away() -> None:
    clock = Clock()
    trying = Trying(clock)
    trying.seconds("a")
    clock.at += 30.0
    trying.seconds("a")
    clock.at += LONGEST_PAUSE_SECONDS + 1.0
    assert (trying.seconds("a"), trying.seconds("a")) == (30.0, 30.0)
    clock.at += 2.0
    assert trying.seconds("a") == 32.0


def test_what_is_gone_is_forgotten() -> None:
    clock = Clock()
    trying = Trying(clock)
    trying.seconds("gone")
    clock.at += 2.0
    trying.seconds("kept")
    clock.at += FORGOTTEN_SECONDS - 1.0
    trying.seconds("kept")
    assert list(trying._known) == ["kept"]
