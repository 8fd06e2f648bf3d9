"""From a request to the answer: who is let in, what starts a run, and what stays a no-op."""

from datetime import timedelta
from typing import Any

import pytest

from tests.rig.fuzz.values import deep
from tests.unit.events.making import (
    BINARY,
    NOW,
    PIPELINE,
    SECRET,
    Place,
    delivery,
    event,
    secret,
    signature,
    structured,
)
from tests.unit.events.test_reading import GITHUB, PUSH
from trainyard import naming
from trainyard.events.answers import MAY_NOT, UNPROVEN
from trainyard.events.delivery import Delivery
from trainyard.resources.training_run import TrainingRunSpec
from trainyard.resources.values import MOST_LEVELS
from trainyard.systems.cluster.port import SECRET as SECRETS
from trainyard.systems.cluster.port import (
    TRAINING_PIPELINE,
    TRAINING_RUN,
    AlreadyExists,
    Forbidden,
    Invalid,
    Kind,
    Ref,
    Unavailable,
)

CREATED = (202, "RunCreated")
DUPLICATE = (200, "Duplicate")
UNAUTHORIZED = (401, "Unauthorized")
SOURCE = "https://data.example/sets"


def with_trigger(name: str = "cluster", **changes: Any) -> dict[str, Any]:
    """Return the pipeline with one of its triggers changed."""
    events = [t | (changes if t["name"] == name else {}) for t in PIPELINE["spec"]["triggers"]["events"]]
    return PIPELINE | {"spec": PIPELINE["spec"] | {"triggers": {"events": events}}}


async def test_an_event_starts_a_run() -> None:
    place = Place()
    sent = structured(time="2026-11-24T11:00:00+02:00", subject="sets/1")
    answer = await place.receiver.receive(sent)
    (run,) = place.runs()
    name = naming.run_name("churn", "Event", "cluster", naming.canonical([SOURCE, "1"]))
    assert (answer.status, answer.run) == (202, name)
    assert run["metadata"]["name"] == name
    assert run["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "trainyard",
        "trainyard.dev/model": "churn",
        "trainyard.dev/pipeline": "churn",
        "trainyard.dev/trigger": "Event",
    }
    (owner,) = run["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("TrainingPipeline", "churn", True)
    assert run["spec"] == {
        "pipeline": "churn",
        "trigger": {
            "type": "Event",
            "name": "cluster",
            "eventSource": SOURCE,
            "eventId": "1",
            "eventTime": "2026-11-24T09:00:00Z",
        },
        "parameters": {},
        "requestedBy": "ada",
        "description": "data.arrived sets/1",
    }
    TrainingRunSpec.model_validate(run["spec"])


async def test_the_same_event_thrice_is_one_run() -> None:
    place = Place()
    answers = [await place.post(sent) for sent in (structured(), structured(), delivery(headers=BINARY))]
    assert answers == [CREATED, DUPLICATE, DUPLICATE]
    assert len(place.runs()) == 1


async def test_a_redelivery_stays_a_no_op_when_its_run_is_gone() -> None:
    place = Place()
    await place.post(structured())
    handled = {"name": "cluster", "handled": [naming.event_hash(SOURCE, "1")]}
    place.edit({"status": {"events": [handled]}}, status=True)
    place.cluster.remove(Ref(TRAINING_RUN, "ada", place.runs()[0]["metadata"]["name"]))
    assert await place.post(structured()) == DUPLICATE
    assert place.runs() == ()
    assert await place.post(structured(number=2)) == CREATED
    place.edit({"spec": {"suspend": True}})
    assert await place.post(structured()) == DUPLICATE, "a sender need not go on sending it"


async def test_an_event_from_before_the_horizon_starts_nothing() -> None:
    place = Place()
    place.edit({"status": {"events": [{"name": "cluster", "horizon": "2026-11-24T09:00:00Z"}]}}, status=True)
    assert await place.post(structured(number=1, time="2026-11-24T08:59:59Z")) == (200, "TooOld")
    assert await place.post(structured(number=2, time="2026-11-24T09:00:00Z")) == CREATED
    assert await place.post(structured(number=3)) == CREATED


async def test_an_event_from_the_future_is_taken_as_from_now() -> None:
    place = Place()
    await place.post(structured(time=(NOW + timedelta(days=900)).isoformat()))
    assert place.runs()[0]["spec"]["trigger"]["eventTime"] == "2026-11-24T12:00:00Z"


def signed(body: Any, headers: dict[str, str], key: str = SECRET) -> Delivery:
    sent = delivery("push", body, headers)
    return delivery("push", body, headers | {"x-hub-signature-256": signature(sent.body, key), "authorization": ""})


STRUCTURED = {"content-type": "application/cloudevents+json"}


@pytest.mark.parametrize(
    ("sent", "who"),
    [
        (structured("store", {"authorization": f"Bearer {SECRET}"}), "bearer:shared/store"),
        (structured("store", {"authorization": f"bearer  {SECRET}"}), "bearer:shared/store"),
        (signed(event(), STRUCTURED), "hmac:shared/push"),
        (signed(PUSH, GITHUB), "hmac:shared/push"),
        (structured("robot", {"authorization": "Bearer robot"}), "oidc:robot"),
        (structured("robot", {"authorization": "Bearer verified a@b.example"}), "oidc:a@b.example"),
    ],
)
async def test_each_kind_of_proof(sent: Delivery, who: str) -> None:
    place = Place()
    assert await place.post(sent) == CREATED
    assert place.runs()[0]["spec"]["requestedBy"] == who
    assert place.reviews.asked == []


WRONG = [
    structured(headers={"authorization": ""}),
    structured(headers={"authorization": "Basic ada"}),
    structured(headers={"authorization": "Bearer nobody"}),
    structured("store", {"authorization": "Bearer wrong"}),
    structured("store", {"authorization": "Bearer "}),
    structured("push"),
    signed(PUSH, GITHUB, "another secret of enough bytes"),
    signed(PUSH, GITHUB | {"authorization": "Bearer x"}, ""),
    structured("robot", {"authorization": "Bearer bad"}),
    structured("robot", {"authorization": "Bearer someone"}),
    structured("robot", {"authorization": "Bearer claimed a@b.example"}),
    structured("robot", {"authorization": ""}),
]


@pytest.mark.parametrize("sent", WRONG)
async def test_without_a_proof_every_answer_is_the_same(sent: Delivery) -> None:
    """Whether the namespace, the pipeline and the trigger exist or not."""
    headers = {k: v[0] for k, v in sent.headers.items()} | {"authorization": "Bearer unknown"}
    place = Place()
    places: tuple[dict[str, str], ...] = ({}, {"namespace": "no"}, {"pipeline": "no"}, {"trigger": "no"})
    elsewhere = [delivery(**({"trigger": sent.trigger} | where), body=sent.body, headers=headers) for where in places]
    answers = [
        await place.receiver.receive(one) for one in (sent if sent.bearer != "ada" else elsewhere[0], *elsewhere)
    ]
    assert answers == [UNPROVEN] * 5
    assert place.runs() == ()


async def test_a_token_that_may_not_is_told_the_same_everywhere() -> None:
    place = Place()
    eve = {"authorization": "Bearer eve"}
    triggers = ({"trigger": name} for name in ("cluster", "store", "push", "no"))
    places = (*triggers, {"namespace": "no"}, {"pipeline": "no"})
    answers = [await place.receiver.receive(delivery(**({"trigger": "cluster"} | w), headers=eve)) for w in places]
    assert answers == [MAY_NOT] * 6


async def test_a_token_that_may_is_told_what_is_missing() -> None:
    place = Place()
    answer = await place.receiver.receive(delivery("cluster", pipeline="no"))
    assert answer.status == 404
    assert "ada/no: there is no TrainingPipeline" in answer.message
    answer = await place.receiver.receive(delivery("no"))
    assert (answer.status, "no event trigger no" in answer.message) == (404, True)
    answer = await place.receiver.receive(structured("store"))
    assert answer.status == 403
    assert "takes the proof bearer" in answer.message


async def test_a_body_is_looked_at_after_the_proof_only() -> None:
    place = Place()
    wrong = {"content-type": "application/cloudevents+json"}
    assert await place.post(delivery("cluster", b"{", wrong)) == (400, "Malformed")
    assert await place.post(delivery("cluster", b"{", wrong | {"authorization": ""})) == UNAUTHORIZED


async def test_a_signature_must_cover_the_identity() -> None:
    place = Place()
    assert await place.post(signed(b"{}", BINARY)) == (400, "Malformed")
    assert place.runs() == ()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "does not exist"),
        (secret(store=SECRET, usable=""), "not labelled trainyard.dev/usable-by-triggers=true"),
        (secret(store=SECRET, usable="false"), "not labelled"),
        (secret(other=SECRET), "fewer than 16 bytes"),
        (secret(store="short"), "fewer than 16 bytes"),
        (secret() | {"data": {"store": "%"}}, "fewer than 16 bytes"),
    ],
)
async def test_a_secret_that_cannot_be_used_is_told_to_the_log(
    found: dict[str, Any] | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place()
    place.cluster.remove(Ref(SECRETS, "ada", "shared"))
    if found is not None:
        place.cluster.seed(found)
    for given in (SECRET, "short", ""):
        answer = await place.receiver.receive(structured("store", {"authorization": f"Bearer {given}"}))
        assert answer == UNPROVEN
    assert words in caplog.text
    assert SECRET not in caplog.text


async def test_a_secret_that_may_not_be_read(caplog: pytest.LogCaptureFixture) -> None:
    place = Place()
    place.cluster.fail("get", SECRETS, Forbidden("no"))
    answer = await place.receiver.receive(structured("store", {"authorization": f"Bearer {SECRET}"}))
    assert answer == UNPROVEN
    assert "may not read it" in caplog.text


@pytest.mark.parametrize(
    ("trigger", "sent", "answer"),
    [
        ({"type": "data.arrived"}, {}, CREATED),
        ({"type": "data.left"}, {}, (200, "TypeMismatch")),
        ({"source": "https://data.example/"}, {}, CREATED),
        ({"source": "https://other.example/"}, {}, (200, "SourceMismatch")),
    ],
)
async def test_filters(trigger: dict[str, Any], sent: dict[str, Any], answer: tuple[int, str]) -> None:
    place = Place(with_trigger(**trigger))
    assert await place.post(structured(**sent)) == answer
    assert len(place.runs()) == (answer == CREATED)


async def test_a_suspended_pipeline_says_so() -> None:
    place = Place(PIPELINE | {"spec": PIPELINE["spec"] | {"suspend": True}})
    answer = await place.receiver.receive(structured())
    assert (answer.status, answer.reason) == (409, "Suspended")
    assert "churn is suspended" in answer.message
    assert place.runs() == ()


@pytest.mark.parametrize("change", [{"spec": {"model": "Not A Name"}}, {"metadata": {"finalizers": ["x/y"]}}])
async def test_a_pipeline_that_is_wrong_or_going_takes_nothing(change: dict[str, Any]) -> None:
    place = Place()
    place.edit(change)
    if "metadata" in change:
        await place.cluster.delete(Ref(TRAINING_PIPELINE, "ada", "churn"))
    assert await place.post(structured()) == (404, "NotFound")
    assert await place.post(structured("store", {"authorization": f"Bearer {SECRET}"})) == UNAUTHORIZED


POINTERS = {"epochs": "/size/0", "note": "/a~1b/~0", "extra": ""}


async def test_parameters_come_from_the_data() -> None:
    place = Place(with_trigger(parameters={"note": "static", "epochs": 9}, parametersFromData={"epochs": "/size/0"}))
    assert await place.post(structured(data={"size": [7]})) == CREATED
    assert place.runs()[0]["spec"]["parameters"] == {"note": "static", "epochs": 7}
    place = Place(with_trigger(parametersFromData=POINTERS))
    data = {"size": [1], "a/b": {"~": "x"}}
    assert await place.post(structured(data=data)) == CREATED
    assert place.runs()[0]["spec"]["parameters"] == {"epochs": 1, "note": "x", "extra": data}


@pytest.mark.parametrize(
    ("trigger", "data", "words"),
    [
        ({"parametersFromData": {"epochs": "/n"}}, {}, "epochs: the event's data has nothing at /n"),
        ({"parametersFromData": {"epochs": "/n/1"}}, {"n": [1]}, "nothing at /n/1"),
        ({"parametersFromData": {"epochs": "/n/01"}}, {"n": [1, 2]}, "nothing at /n/01"),
        ({"parametersFromData": {"epochs": "/n/-"}}, {"n": [1, 2]}, "nothing at /n/-"),
        ({"parametersFromData": {"epochs": "/n/" + "9" * 400}}, {"n": [1]}, "nothing at"),
        ({"parametersFromData": {"epochs": "/n"}}, "text", "nothing at /n"),
        ({"parametersFromData": {"epochs": "/n"}}, {"n": "7"}, "epochs is of type String, not Integer"),
        ({"parametersFromData": {"epochs": "/n"}}, {"n": 7.0}, "epochs is of type Double, not Integer"),
        ({"parametersFromData": {"epochs": "/n"}}, {"n": None}, "epochs is of type null"),
        ({"parametersFromData": {"epochs": "/n"}}, {"n": 2**63}, "epochs is beyond 64 bits"),
        ({"parametersFromData": {"extra": "/n"}}, {"n": {"a": [2**64]}}, "extra is beyond 64 bits"),
        ({"parametersFromData": {"extra": "/n"}}, {"n": deep(65)}, "extra is nested too deeply, at most 64 levels"),
        ({"parametersFromData": {"extra": "/n"}}, {"n": deep(700)}, "extra is nested too deeply, at most 64 levels"),
        ({"parameters": {"layers": 2}}, {}, "layers is no parameter of the pipeline"),
    ],
)
async def test_parameters_that_do_not_fit(trigger: dict[str, Any], data: Any, words: str) -> None:
    place = Place(with_trigger(**trigger))
    answer = await place.receiver.receive(structured(data=data))
    assert (answer.status, answer.reason) == (422, "ParametersInvalid")
    assert words in answer.message
    assert place.runs() == ()


async def test_a_parameter_of_as_many_levels_as_are_taken() -> None:
    place = Place(with_trigger(parametersFromData={"extra": "/n"}))
    assert await place.post(structured(data={"n": deep(MOST_LEVELS)})) == CREATED


async def test_data_that_is_no_json_has_no_parameters() -> None:
    place = Place(with_trigger(parametersFromData={"note": ""}))
    answer = await place.receiver.receive(delivery("cluster", b"x", BINARY | {"content-type": "text/plain"}))
    assert "note: the event's data is no JSON" in answer.message


async def test_a_parameter_without_a_value() -> None:
    declared = [*PIPELINE["spec"]["parameters"], {"name": "seed", "type": "Integer"}]
    place = Place(PIPELINE | {"spec": PIPELINE["spec"] | {"parameters": declared}})
    answer = await place.receiver.receive(structured())
    assert answer.message == "Parameters: seed has no default and no value."


async def test_a_kubeflow_package_declares_parameters_of_its_own() -> None:
    engine = {"kubeflow": {"package": {"inline": "x"}}}
    pipeline = with_trigger(parameters={"layers": 2})
    place = Place(pipeline | {"spec": pipeline["spec"] | {"engine": engine}})
    assert await place.post(structured()) == CREATED


async def test_a_name_that_is_taken() -> None:
    place = Place()
    await place.post(structured())
    (run,) = place.runs()
    place.cluster.edit(Ref(TRAINING_RUN, "ada", run["metadata"]["name"]), {"spec": {"trigger": {"eventId": "2"}}})
    assert await place.post(structured()) == (409, "NameConflict")


async def test_a_run_that_goes_between_create_and_look_was_the_events() -> None:
    place = Place()
    await place.post(structured())
    (run,) = place.runs()
    place.cluster.remove(Ref(TRAINING_RUN, "ada", run["metadata"]["name"]))
    place.cluster.fail("create", TRAINING_RUN, AlreadyExists("exists"))
    assert await place.post(structured()) == DUPLICATE


@pytest.mark.parametrize(
    ("verb", "kind", "error", "answer"),
    [
        ("create", TRAINING_RUN, Unavailable("away"), (503, "Unavailable")),
        ("create", TRAINING_RUN, Invalid("spec.x: no"), (422, "RunRefused")),
        ("create", TRAINING_RUN, Forbidden('runs "a" is forbidden: exceeded quota: q'), (429, "QuotaExceeded")),
        ("create", TRAINING_RUN, Forbidden("no right"), (503, "Unavailable")),
        ("get", TRAINING_PIPELINE, Unavailable("away"), (503, "Unavailable")),
        ("get", TRAINING_PIPELINE, Forbidden("elsewhere"), (404, "NotFound")),
    ],
)
async def test_what_the_api_server_answers(verb: Any, kind: Kind, error: Exception, answer: tuple[int, str]) -> None:
    place = Place()
    place.cluster.fail(verb, kind, error)
    assert await place.post(structured()) == answer
    assert await place.post(structured()) == CREATED


async def test_a_lost_answer_is_healed_by_the_redelivery() -> None:
    place = Place()
    place.cluster.fail("create", TRAINING_RUN, Unavailable("lost"), done=True)
    assert await place.post(structured()) == (503, "Unavailable")
    assert await place.post(structured()) == DUPLICATE
    assert len(place.runs()) == 1


async def test_nobody_to_ask() -> None:
    place = Place()
    place.reviews.away = True
    answer = await place.receiver.receive(structured())
    assert (answer.status, answer.message, answer.retry_after) == (503, "Nobody is there to ask.", 5)


async def test_a_trigger_has_its_share() -> None:
    place = Place(per_minute=2)
    assert [await place.post(structured(number=n)) for n in (1, 2)] == [CREATED] * 2
    answer = await place.receiver.receive(structured(number=3))
    assert (answer.status, answer.reason, answer.retry_after) == (429, "TooManyEvents", 30)
    assert await place.post(structured("store", {"authorization": f"Bearer {SECRET}"}, number=3)) == CREATED
    place.monotonic += 30
    assert await place.post(structured(number=3)) == CREATED


async def test_who_proves_nothing_uses_up_no_share() -> None:
    place = Place(per_minute=1)
    for _ in range(5):
        assert await place.post(structured(headers={"authorization": ""})) == UNAUTHORIZED
    assert await place.post(structured()) == CREATED
