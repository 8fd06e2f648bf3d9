"""The bricks of the kinds' types: strictness, bounded strings, quantities and the union rule.

Every model is frozen, refuses unknown fields and speaks camelCase on the wire. `schema.py` turns them into
structural schemas; what one object shows wrong is a CEL rule here, so that the API server refuses it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return CEL rules for a `json_schema_extra`: (rule, the sentence a user reads)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def exactly_one(*fields: str) -> tuple[str, str]:
    """Return the CEL rule of a union: exactly one of these fields is set."""
    count = " + ".join(f"(has(self.{f}) ? 1 : 0)" for f in fields)
    return f"{count} == 1", f"set exactly one of: {', '.join(fields)}"


def ordered(low: str, high: str) -> tuple[str, str]:
    """Return the CEL rule that a lower bound is not above the upper one; both are decimals."""
    return (
        f"!has(self.{low}) || !has(self.{high}) || double(self.{low}) <= double(self.{high})",
        f"{low} is greater than {high}: no value can pass",
    )


def map_by(key: str) -> dict[str, Any]:
    """Return the words that make a list unique by a field of its items."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


# A map that server-side apply takes as one value. Else one of which a manager owns fields, and which it then applies
# as {}, becomes null; also where the fields are defaults that came with a client-side apply. `schema.py` writes no
# defaults into it: they would be a conflict for whoever applies the same {} by another name. The models have them.
ATOMIC: dict[str, Any] = {"x-kubernetes-map-type": "atomic"}

# Service names are DNS-1035, and labels end at 63: children add `-<attempt>-pub` or `-<hash10>`.
DNS1035 = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
DNS1123 = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DOMAIN = DNS1123.removeprefix("^").removesuffix("$")
_LAST = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
# What Kubernetes takes as the key of a label or a taint; and one that must have a domain.
QUALIFIED = rf"^({_DOMAIN}/)?{_LAST}$"
OF_A_DOMAIN = rf"^{_DOMAIN}/{_LAST}$"
MAX_NAME = 47
MAX_PIPELINE_NAME = 32

Name = Annotated[str, StringConstraints(pattern=DNS1035, min_length=1, max_length=MAX_NAME)]
ShortName = Annotated[str, StringConstraints(pattern=DNS1035, min_length=1, max_length=MAX_PIPELINE_NAME)]
# The name of an object that is not ours.
ObjectName = Annotated[str, StringConstraints(pattern=DNS1123, min_length=1, max_length=253)]
# A parameter's or a metric's name: what a programming language takes as an identifier, dots and dashes allowed.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?$", max_length=63)]
Text = Annotated[str, StringConstraints(max_length=1024)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Decimal = Annotated[str, StringConstraints(pattern=r"^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?$", max_length=32)]
_BUCKET = StringConstraints(pattern=r"^s3://[a-z0-9][-.a-z0-9]*/", max_length=1024)
_NO_CLIMBING = ("!self.contains('/../') && !self.endsWith('/..')", "a URI may not climb up with ..")
Uri = Annotated[str, _BUCKET, Field(json_schema_extra=rules(_NO_CLIMBING))]
FolderUri = Annotated[
    str,
    _BUCKET,
    Field(json_schema_extra=rules(_NO_CLIMBING, ("self.endsWith('/')", "this URI is a folder: end it with /"))),
]
Image = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", min_length=1, max_length=512)]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, max_length=40)]
MOST_ROWS = 2**53 - 1  # the greatest whole number that every reader of JSON takes for one
RowNumber = Annotated[int, Field(ge=0, le=MOST_ROWS)]
Seconds = Annotated[int, Field(ge=0, le=31_536_000)]
# As Kubernetes writes quantities (apimachinery, resource.Quantity), without negative ones.
Quantity = Annotated[
    Annotated[int, Field(ge=0)]
    | Annotated[
        str,
        StringConstraints(
            pattern=r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$", max_length=32
        ),
    ],
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]


class Model(BaseModel):
    """A part of a kind as it stands in a manifest."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_enum_values=True
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: camelCase, unset optional fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusModel(Model):
    """A part of a status. A status written by a newer operator may carry fields that this one does not know."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_enum_values=True
    )


Status = TypeVar("Status", bound=StatusModel)


def status_of(obj: Mapping[str, Any], model: type[Status]) -> Status:
    """Read an object's status; one that cannot be read is as good as lost, and is made again."""
    try:
        return model.model_validate(obj.get("status") or {})
    except ValidationError:
        return model()


def first_wrong(error: ValidationError) -> str:
    """Name the first field that is wrong, and how (`spec.model: Field required`); what it holds is not told."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _bounded(value: Mapping[str, str]) -> Mapping[str, str]:
    if len(value) > 32:
        raise ValueError("at most 32 entries")
    return value


LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
_LABEL_KEYS = rules(
    (
        f"self.all(k, k.matches(r'{QUALIFIED}'))",
        "a label's key is a name of at most 63 letters, digits, -, _ and ., or a domain, / and such a name",
    )
)
LabelMap = Annotated[
    dict[str, LabelValue],
    AfterValidator(_bounded),
    Field(json_schema_extra={"maxProperties": 32, **ATOMIC, **_LABEL_KEYS}),
]


class ObjectMeta(BaseModel):
    """What the rooms read of an object's metadata; the rest is passed over."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Resource(BaseModel):
    """One object of a kind. Subclasses give `spec` and `status` their types."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    metadata: ObjectMeta
