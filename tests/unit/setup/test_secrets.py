"""The setup's Secrets over the fake cluster: made once, never changed, never two truths."""

import base64

import pytest

from tests.fakes.cluster import FakeCluster
from trainyard.setup.policies import data_policy, operator_policy, publisher_policy, reader_policy
from trainyard.setup.progress import SetupFailed
from trainyard.setup.secrets import Names, kept, make_secrets, store_keys
from trainyard.systems.cluster.port import SECRET, AlreadyExists, Obj, Ref

NAMES = Names("system", "trainyard-mysql", "trainyard-minio", "trainyard-operator-store")


async def held(cluster: FakeCluster, namespace: str, name: str) -> dict[str, str]:
    found = await cluster.get(Ref(SECRET, namespace, name))
    assert found
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


async def test_the_release_gets_its_secrets_once() -> None:
    cluster = FakeCluster()
    await make_secrets(cluster, NAMES)
    first = [await held(cluster, "system", name) for name in (NAMES.mysql, NAMES.store, NAMES.operator)]
    assert [sorted(one) for one in first] == [
        ["password", "root-password"],
        ["root-password", "root-user"],
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    ]
    writes = len(cluster.writes)
    await make_secrets(cluster, NAMES)
    assert len(cluster.writes) == writes
    assert [await held(cluster, "system", name) for name in (NAMES.mysql, NAMES.store, NAMES.operator)] == first


async def test_passwords_are_long_plain_and_all_different() -> None:
    cluster = FakeCluster()
    await make_secrets(cluster, NAMES)
    made = [await held(cluster, "system", name) for name in (NAMES.mysql, NAMES.store, NAMES.operator)]
    found = [value for one in made for key, value in one.items() if "password" in key.lower() or "SECRET" in key]
    assert len(set(found)) == 4
    assert all(len(value) >= 32 and value.isalnum() for value in found)


async def test_what_the_chart_does_not_bring_gets_no_secret() -> None:
    cluster = FakeCluster()
    await make_secrets(cluster, Names("system", "", "", NAMES.operator))
    assert await cluster.list(SECRET, "system") == ()


async def test_a_secret_of_the_platform_is_used_as_it_is() -> None:
    cluster = FakeCluster()
    given = {"AWS_ACCESS_KEY_ID": "their-key", "AWS_SECRET_ACCESS_KEY": "their-secret"}
    await kept(cluster, "team", "trainyard-data", given)
    assert await kept(cluster, "team", "trainyard-data", store_keys("team", "trainyard-data")) == given


async def test_a_secret_without_its_keys_is_named_and_stays() -> None:
    cluster = FakeCluster()
    await kept(cluster, "system", NAMES.mysql, {"other": "x"})
    with pytest.raises(SetupFailed, match="system/trainyard-mysql has no proper root-password, password"):
        await make_secrets(cluster, NAMES)
    assert await held(cluster, "system", NAMES.mysql) == {"other": "x"}


async def test_two_setups_at_once_end_with_one_truth() -> None:
    class Overtaken(FakeCluster):
        async def create(self, obj: Obj) -> Obj:
            await super().create({**obj, "data": {"password": base64.b64encode(b"theirs").decode()}})
            raise AlreadyExists("overtaken")

    assert await kept(Overtaken(), "system", "x", {"password": "ours"}) == {"password": "theirs"}


def test_the_access_key_is_the_same_for_a_secret_made_anew() -> None:
    one, two = store_keys("team", "trainyard-data"), store_keys("team", "trainyard-data")
    assert one["AWS_ACCESS_KEY_ID"] == two["AWS_ACCESS_KEY_ID"]
    assert one["AWS_SECRET_ACCESS_KEY"] != two["AWS_SECRET_ACCESS_KEY"]
    assert len(one["AWS_ACCESS_KEY_ID"]) <= 20
    assert one["AWS_ACCESS_KEY_ID"] != store_keys("other", "trainyard-data")["AWS_ACCESS_KEY_ID"]


def test_no_policy_deletes_and_only_the_publisher_puts() -> None:
    made = {
        "data": data_policy("b", "team"),
        "publisher": publisher_policy("b", "team"),
        "reader": reader_policy("b", "team"),
        "operator": operator_policy("b"),
    }
    actions = {who: {a for s in p["Statement"] for a in s["Action"]} for who, p in made.items()}
    assert not any("Delete" in action or "*" in action for found in actions.values() for action in found)
    assert [who for who, found in actions.items() if "s3:PutObject" in found] == ["publisher"]
