"""Values that a user gives as JSON, for parameters."""

from typing import Annotated, Any

from pydantic import Field

AnyJson = Annotated[Any, Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
ParameterMap = Annotated[
    dict[str, Any],
    Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True, "maxProperties": 100}),
]
