"""What is kept of the past: history in status, rows for the database, and which revisions may be forgotten. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trainyard.reconciling.plan import Record
from trainyard.resources.rollout import HistoryEntry, Outcome, RevisionStatus, RolloutStatus, UserAction
from trainyard.resources.rollout_status import ActionResult, HandledAction
from trainyard.rollout.situation import Situation

HISTORY_LIMIT = 20
REJECTED_LIMIT = 50
ACTIONS_LIMIT = 20


def entry(s: Situation, revision: RevisionStatus, outcome: Outcome, message: str, by: str) -> HistoryEntry:
    """Return how a revision's rollout ended, and who asked for that ("" where nobody did)."""
    return HistoryEntry(
        revision=revision.revision,
        version=revision.version,
        digest=revision.digest,
        outcome=outcome,
        message=message[:512],
        by=by,
        started_time=s.status.canary_started_time or s.at,
        finished_time=s.at,
    )


def with_entry(status: RolloutStatus, new: HistoryEntry) -> tuple[HistoryEntry, ...]:
    """Return the history with an entry in front, the oldest dropped."""
    return (new, *status.history)[:HISTORY_LIMIT]


def with_rejected(status: RolloutStatus, revision: str) -> tuple[str, ...]:
    """Return the rejected revisions with one more."""
    others = tuple(r for r in status.rejected if r != revision)
    return (revision, *others)[:REJECTED_LIMIT]


def row(decision: str, revision: RevisionStatus, **numbers: Any) -> dict[str, Any]:
    """Return the data of one decision: what was decided about which revision, with its numbers."""
    about = {"decision": decision, "revision": revision.revision, "version": revision.version}
    return {**about, "digest": revision.digest, **numbers}


def asked(by: str) -> dict[str, str]:
    """Return who asked for a decision, as its row has it; nothing where nobody did."""
    return {"by": by} if by else {}


def with_answer(status: RolloutStatus, action: UserAction, result: ActionResult, at: str) -> dict[str, object]:
    """Return the changes of status by which an action is remembered as answered."""
    answer = HandledAction(id=action.id, kind=action.kind, by=action.by, result=result, at=at)
    return {"handled_action": action.id, "actions": (answer, *status.actions)[:ACTIONS_LIMIT]}


def records(s: Situation, rows: tuple[Mapping[str, Any], ...]) -> tuple[Record, ...]:
    """Number the rows on from the observed status: a repeated cycle gives the same keys."""
    meta = s.rollout.metadata
    return tuple(
        Record(meta.uid, s.status.sequence + n, "decision", s.at, meta.namespace, meta.name, data)
        for n, data in enumerate(rows, start=1)
    )


def last_row(status: RolloutStatus, generation: int, now: datetime) -> int:
    """Return the number of the last row; a status that was lost numbers on beyond all that may have been written."""
    is_lost = status.sequence == 0 and status.observed_generation == 0 and generation > 1
    return int(now.timestamp()) if is_lost else status.sequence


def forgotten(s: Situation) -> tuple[str, ...]:
    """Return the kept revisions that nothing speaks of any more."""
    roles = {r.revision for r in (s.stable, s.canary) if r}
    spoken = roles | set(s.status.rejected) | {e.revision for e in s.status.history} | set(s.leftovers)
    rejected = {revision for revision, kept in s.seen.stored.items() if kept.outcome}
    return tuple(sorted(set(s.seen.stored) - spoken - rejected))
