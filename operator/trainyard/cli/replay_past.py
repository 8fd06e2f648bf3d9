"""Which past is replayed: what the flags say, else what the Rollout's history, or the record in MySQL, tells. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from trainyard.cli import clock
from trainyard.cli.objects import Obj, at
from trainyard.cli.problem import USAGE, Problem

PROMOTED = ("Promoted", "FastPromoted")


@dataclass(frozen=True)
class Tried:
    """A revision's time as canary. outcome: "" while it runs."""

    revision: str
    version: str
    started: datetime
    finished: datetime
    outcome: str = ""
    message: str = ""


@dataclass(frozen=True)
class Flags:
    """What the person says; None or "" leaves it to what is known."""

    start: datetime | None = None
    end: datetime | None = None
    canary: str = ""
    stable: str = ""


@dataclass(frozen=True)
class Chosen:
    """What is replayed. canary and stable: (revision, version). then: what really came of it, None where unknown."""

    canary: tuple[str, str]
    stable: tuple[str, str]
    start: datetime
    end: datetime
    then: Tried | None = None


def tried(rollout: Obj, present: datetime) -> list[Tried]:
    """Return the canaries that a status tells of, newest first; the running one ends now."""
    found = []
    canary, began = at(rollout, "status.canary", None), clock.parse(at(rollout, "status.canaryStartedTime"))
    if canary and began:
        found.append(Tried(canary["revision"], canary["version"], began, present))
    for entry in at(rollout, "status.history", ()):
        started, finished = clock.parse(entry.get("startedTime")), clock.parse(entry.get("finishedTime"))
        if started and finished:
            told = (entry["revision"], entry["version"], started, finished)
            found.append(Tried(*told, entry["outcome"], entry.get("message", "")))
    return found


def recorded(rows: Sequence[Mapping[str, object]]) -> list[Tried]:
    """Return the canaries that decisions of the record tell of, newest first. rows: oldest first.

    A row has `decision`, `revision`, `version`, `at` (UTC) and `message`.
    """
    begun: dict[str, datetime] = {}
    found = []
    for row in rows:
        revision, moment = str(row["revision"]), row["at"]
        assert isinstance(moment, datetime)  # noqa: S101 - the columns' own type
        if row["decision"] == "Started":
            begun[revision] = moment
        elif row["decision"] in (*PROMOTED, "Aborted", "Superseded", "RolledBack") and revision in begun:
            told = (revision, str(row["version"]), begun.pop(revision), moment)
            found.append(Tried(*told, str(row["decision"]), str(row["message"])))
    return found[::-1]


def choose(known: Sequence[Tried], serving: Mapping[str, str], flags: Flags) -> Chosen:
    """Choose a past. known: newest first. serving: stable's revision and version, {} where nothing is known.

    Raises Problem.
    """
    entry = _entry(known, flags)
    canary = flags.canary or (entry.revision if entry else "")
    stable = flags.stable or _stable_of(known, entry, serving)
    start = flags.start or (entry.started if entry else None)
    end = flags.end or (entry.finished if entry else None)
    missing = [n for n, v in (("--canary", canary), ("--stable", stable), ("--from", start), ("--to", end)) if not v]
    if missing or start is None or end is None:
        raise Problem(f"Say {', '.join(missing)}: no history tells it.", USAGE)
    if canary == stable:
        raise Problem(f"Canary and stable are both {canary}: name another with --canary or --stable.", USAGE)
    versions = {t.revision: t.version for t in known} | {serving.get("revision", ""): serving.get("version", "")}
    # A version that nobody knows gets a name that one may have: a revision may begin with a digit.
    named = [(revision, versions.get(revision) or f"revision-{revision}") for revision in (canary, stable)]
    then = entry if entry and flags.start is None and flags.end is None else None
    return Chosen(named[0], named[1], start.astimezone(UTC), end.astimezone(UTC), then)


def _entry(known: Sequence[Tried], flags: Flags) -> Tried | None:
    """Return the newest canary that is meant; the first version ever was none."""
    meant = [t for t in known if flags.canary in ("", t.revision)]
    tries = [t for t in meant if t.message != "the first version"]
    return next(iter(tries or meant), None)


def _stable_of(known: Sequence[Tried], entry: Tried | None, serving: Mapping[str, str]) -> str:
    """Return what served while a canary was tried: what was promoted last before it, "" where nothing tells.

    What serves today did so then, if nothing was promoted since.
    """
    if entry is None:
        return serving.get("revision", "")
    earlier = [t.revision for t in known if t.outcome in PROMOTED and t.finished <= entry.started and t != entry]
    if earlier:
        return earlier[0]
    since = any(t.outcome in PROMOTED and t.finished > entry.started for t in known)
    return "" if since else serving.get("revision", "")
