"""What starts runs of a TrainingPipeline by itself: changed inputs, schedules, events."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from trainyard.resources.base import Model, Name, StatusModel, Timestamp, exactly_one, map_by, rules
from trainyard.resources.pods import SecretKey
from trainyard.resources.values import ParameterMap


def _field(value: str, more: str = "") -> str:
    """Return the regular expression of one field: a list of values, ranges and steps."""
    item = f"(([*]|{value}(-{value})?)(/[1-9][0-9]?)?{more})"
    return f"{item}(,{item})*"


_WEEKDAY = "([0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)"
_MONTH = "(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
CRON_FIELDS = " +".join(
    (
        _field("[0-5]?[0-9]"),
        _field("([01]?[0-9]|2[0-3])"),
        _field("(0?[1-9]|[12][0-9]|3[01])", "|L|LW"),
        _field(_MONTH),
        _field(_WEEKDAY, f"|{_WEEKDAY}#[1-5]|[0-7]L"),
    )
)
_MACRO = r"self.matches('^@(hourly|daily|midnight|weekly|monthly|yearly|annually)$')"
Cron = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    Field(
        json_schema_extra=rules(
            (
                rf"{_MACRO} || self.matches('^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+$')",
                "a cron expression has five fields: minute hour day-of-month month day-of-week",
            ),
            (
                rf"{_MACRO} || !self.matches('^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+$')"
                rf" || self.matches('(?i)^{CRON_FIELDS}$')",
                "a cron field is out of range: minute 0-59, hour 0-23, day-of-month 1-31 or L, month 1-12 or JAN-DEC,"
                " day-of-week 0-7 or SUN-SAT; with , - / and *",
            ),
        )
    ),
]
TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", max_length=64),
    Field(
        json_schema_extra=rules(
            ("timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0", "not a time zone of the IANA database"),
            (
                "!self.lowerAscii().startsWith('local')",
                "what is local differs from machine to machine: name a zone",
            ),
        )
    ),
]
# The minute of a schedule that a run is for.
Slot = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z$", max_length=17)]
EventSource = Annotated[str, StringConstraints(max_length=1024)]
EventId = Annotated[str, StringConstraints(max_length=512)]


class Schedule(Model):
    """A cron schedule in a time zone."""

    name: Name = Field(description="Its name; it stands in the runs it starts.")
    cron: Cron = Field(description="Minute, hour, day of month, month, day of week; as in Debian's cron.")
    time_zone: TimeZone = Field(default="UTC", description="A name of the IANA time zone database.")
    parameters: ParameterMap = Field(default_factory=dict, description="Values for the runs it starts.")
    suspend: bool = Field(default=False, description="Start no run while true; slots that pass are not made up for.")


class KubernetesAuth(Model):
    """The caller shows a Kubernetes token for audience trainyard, and may create TrainingRuns here."""


class BearerAuth(Model):
    """The caller shows a shared secret as a bearer token."""

    secret_ref: SecretKey = Field(description="The Secret, labelled trainyard.dev/usable-by-triggers=true.")


class HmacAuth(Model):
    """The caller signs the body with a shared secret (HMAC-SHA-256, header X-Hub-Signature-256)."""

    secret_ref: SecretKey = Field(description="The Secret, labelled trainyard.dev/usable-by-triggers=true.")


class OidcAuth(Model):
    """The caller shows an OpenID Connect token of an issuer that the operator's configuration allows."""

    issuer: Annotated[str, StringConstraints(pattern=r"^https://[^\s]+$", max_length=512)] = Field(
        description="The token's issuer."
    )
    audience: Annotated[str, StringConstraints(min_length=1, max_length=512)] = Field(
        description="The token's audience."
    )
    subjects: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=512)], ...], Field(min_length=1, max_length=32)
    ] = Field(description="Whose tokens count: the subject, or the verified e-mail address.")


class EventAuth(Model):
    """How a caller proves itself: exactly one."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("kubernetes", "bearer", "hmac", "oidc")))

    kubernetes: KubernetesAuth | None = Field(default=None, description="A Kubernetes token.")
    bearer: BearerAuth | None = Field(default=None, description="A shared secret, as MinIO's webhook sends it.")
    hmac: HmacAuth | None = Field(default=None, description="A signature, as GitHub sends it.")
    oidc: OidcAuth | None = Field(default=None, description="An OpenID Connect token, as Pub/Sub sends it.")


class EventTrigger(Model):
    """Events that start a run, posted to /events/<namespace>/<pipeline>/<name>."""

    name: Name = Field(description="Its name; the last part of the address.")
    type: Annotated[str, StringConstraints(max_length=255)] = Field(
        default="", description="The CloudEvents type; any where empty."
    )
    source: EventSource = Field(default="", description="What the CloudEvents source begins with; any where empty.")
    auth: EventAuth = Field(description="How a caller proves itself; exactly one branch.")
    parameters: ParameterMap = Field(default_factory=dict, description="Values for the runs it starts.")
    parameters_from_data: Annotated[
        dict[str, Annotated[str, StringConstraints(pattern=r"^(/[^/]*)*$", max_length=512)]],
        Field(json_schema_extra={"maxProperties": 100}),
    ] = Field(default_factory=dict, description="Parameter to JSON pointer (RFC 6901) into the event's data.")


class Triggers(Model):
    """When runs start by themselves."""

    on_change: bool = Field(
        default=False, description="Start a run when engine, parameters or data URIs change, and at first."
    )
    schedules: Annotated[tuple[Schedule, ...], Field(max_length=32, json_schema_extra=map_by("name"))] = Field(
        default=(), description="Runs at times of a calendar."
    )
    events: Annotated[tuple[EventTrigger, ...], Field(max_length=32, json_schema_extra=map_by("name"))] = Field(
        default=(), description="Runs by events that the receiver takes."
    )


class ScheduleStatus(StatusModel):
    """Where a schedule stands."""

    name: Name = Field(description="The schedule's name.")
    last_slot: Slot | None = Field(default=None, description="The last slot that was handled, in UTC.")
    next: Slot | None = Field(default=None, description="The next slot, in UTC.")


class EventTriggerStatus(StatusModel):
    """Which events are done, so that a redelivery stays a no-op after its run was pruned."""

    name: Name = Field(description="The event trigger's name.")
    handled: Annotated[tuple[Annotated[str, StringConstraints(max_length=10)], ...], Field(max_length=500)] = Field(
        default=(), description="Hashes of (source, id), the newest last."
    )
    horizon: Timestamp | None = Field(
        default=None, description="Events older than this that are not among `handled` are refused."
    )
    next_horizon: Timestamp | None = Field(
        default=None, description="The horizon once the older half of `handled` has gone."
    )


__all__ = [
    "BearerAuth",
    "EventAuth",
    "EventTrigger",
    "EventTriggerStatus",
    "HmacAuth",
    "KubernetesAuth",
    "OidcAuth",
    "Schedule",
    "ScheduleStatus",
    "Slot",
    "Triggers",
]
