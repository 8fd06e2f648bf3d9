"""Who holds an alias, and when its status may show it."""

from hypothesis import given
from hypothesis import strategies as st

from trainyard.resources.aliases import Claim, age_key, holder, holds
from trainyard.resources.model_version import FIXED, ModelVersionSpec

CHAMPION = frozenset({"champion"})


def claim(
    name: str, second: int, *, ready: bool = True, aliases: frozenset[str] = CHAMPION, shows: bool = False
) -> Claim:
    return Claim(name, f"2026-11-24T05:00:{second:02d}Z", ready, aliases, CHAMPION if shows else frozenset())


def test_the_newest_ready_one_that_lists_it() -> None:
    old, new = claim("a", 1), claim("b", 2)
    assert holder("champion", [new, old]) == new
    assert holder("champion", [old, claim("b", 2, ready=False)]) == old
    assert holder("champion", [old, claim("b", 2, aliases=frozenset())]) == old
    assert holder("champion", [claim("b", 1), claim("a", 1)]) == claim("b", 1)
    assert holder("other", [old, new]) is None


def test_times_are_compared_as_times() -> None:
    ordered = [
        "",
        "2026-11-24T05:00:00Z",
        "2026-11-24T05:00:00.5Z",
        "2026-11-24T08:00:01+03:00",
        "2026-11-24t05:00:02z",
    ]
    keys = [age_key(text, "a") for text in ordered]
    assert keys == sorted(keys)
    assert age_key("2026-11-24T05:00:00", "a") == age_key("2026-11-24T05:00:00Z", "a")
    assert age_key("nonsense", "a") == age_key("", "a")


def test_a_holder_shows_it_once_the_former_one_has_let_go() -> None:
    old, new = claim("a", 1, shows=True), claim("b", 2)
    assert holds(new, [old]) == ()
    assert holds(old, [new]) == ()
    assert holds(new, [claim("a", 1)]) == ("champion",)
    assert holds(claim("b", 2, shows=True), [old]) == ("champion",)  # it has it already: the other lets go


def test_of_several_aliases_each_counts_by_itself() -> None:
    both = frozenset({"champion", "best"})
    mine = Claim("a", "2026-11-24T05:00:01Z", True, both)
    assert holds(mine, [claim("b", 2)]) == ("best",)
    assert holds(mine, []) == ("best", "champion")


CLAIMS = st.lists(
    st.builds(claim, st.sampled_from("abcdef"), st.integers(0, 3), ready=st.booleans(), shows=st.booleans()),
    unique_by=lambda c: c.name, max_size=6,
)  # fmt: skip


@given(CLAIMS)
def test_whoever_goes_next_at_most_one_comes_to_show_it(claims: list[Claim]) -> None:
    """From any picture, one write at a time: as soon as nobody shows it wrongly, exactly the holder shows it."""
    for _ in range(2):
        for at, mine in enumerate(claims):
            shown = frozenset(holds(mine, claims[:at] + claims[at + 1 :]))
            assert not shown or not (shown - mine.holds) or not any(c.holds for c in claims)
            claims[at] = Claim(mine.name, mine.created_at, mine.ready, mine.aliases, shown)
    right = holder("champion", claims)
    assert [c.name for c in claims if c.holds] == ([right.name] if right else [])


def test_all_but_the_aliases_is_fixed() -> None:
    fields = {field.alias for field in ModelVersionSpec.model_fields.values()}
    assert fields == {*FIXED, "aliases"}
