"""A write that the API server refuses for good (policy, quota, RBAC), as a condition of the object it was for. Pure.

Rooms make all conditions every time, so the next visit that succeeds takes this one away. Called by `cycle`.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trainyard.resources.conditions import MOST_CONDITIONS
from trainyard.resources.foreign import parts

STALLED = "Stalled"
WRITE_REFUSED = "WriteRefused"
MESSAGE_LIMIT = 1024
# Words with a digit: the count of a quota, the id of a request. They may differ from try to try.
NUMBERS = re.compile(r"\S*\d\S*")

Status = Mapping[str, Any]


def told(status: Status, about: str, said: str, generation: int, now: datetime) -> dict[str, Any]:
    """Return the status with the refusal in it. about: which object; said: the API server's sentence."""
    before = next((c for c in parts(status, "conditions") if c.get("type") == STALLED), {})
    start = f"the API server refuses to write {about or 'its metadata'}: "
    message, stood = f"{start}{said}"[:MESSAGE_LIMIT], str(before.get("message", ""))
    is_same = _is_refusal(before) and stood.startswith(start) and NUMBERS.sub("", stood) == NUMBERS.sub("", message)
    stalled = {
        "type": STALLED,
        "status": "True",
        "reason": WRITE_REFUSED,
        "message": stood if is_same else message,
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"]
        if before.get("status") == "True"
        else now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return _with(status, stalled)


def keeping(status: Status, live: Status, generation: int) -> Status:
    """Return an intent's status with the refusal that stands: what follows the intent may be refused again.

    It speaks of this generation, or to be refused again would be another write.
    """
    stands = next((c for c in parts(live, "conditions") if _is_refusal(c)), None)
    return status if stands is None else _with(status, {**stands, "observedGeneration": generation})


def _is_refusal(told: Mapping[str, Any]) -> bool:
    return told.get("type") == STALLED and told.get("reason") == WRITE_REFUSED


def _with(status: Status, stalled: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status with this condition, where the one of its type stood; where there is no room, for the last."""
    conditions = parts(status, "conditions")
    if not any(c.get("type") == STALLED for c in conditions):
        return {**status, "conditions": [*conditions[: MOST_CONDITIONS - 1], stalled]}
    return {**status, "conditions": [stalled if c.get("type") == STALLED else c for c in conditions]}
