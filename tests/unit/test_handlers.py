import itertools

from trainyard.handlers import Backoffs, NoDifferences


def test_kopf_tries_for_ever_and_from_the_beginning_each_time() -> None:
    backoffs = Backoffs()
    for _ in range(2):
        assert list(itertools.islice(backoffs, 8)) == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert not hasattr(backoffs, "__len__")  # kopf counts the tries of what has a length


def test_kopf_compares_nothing_and_keeps_nothing() -> None:
    storage = NoDifferences()
    assert storage.build(body={"spec": {"a": 1}}) == {}
    assert storage.fetch(body={"spec": {"a": 1}}) is None
    patch: dict[str, object] = {}
    storage.store(body={}, patch=patch, essence={})
    assert patch == {}
