"""OpenAPI 3.1 from the declared operations: what is served is what is described."""

import inspect
import re
from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from gateway import __version__
from gateway.api.operation import JSON, Operation, View
from gateway.api.problems import CONTENT_TYPE

Schema: TypeAlias = dict[str, Any]

_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_ABOUT: Final = (
    "Texts and calls, accepted at once and sent inside every carrier limit. Give an API key as `Authorization: "
    "Bearer`, or a token from `POST /oauth/token`. Errors are problem details (RFC 9457): `type` is stable, `errors` "
    "names each field. Times are RFC 3339 and need a zone; numbers are E.164."
)


class FieldError(BaseModel):
    """One thing that is wrong. For a dialplan: file, line and node; for a list of people: the line and the field."""

    field: str | None = None
    slug: str | None = None
    detail: str
    line: int | None = None
    node: str | None = None
    file: str | None = None
    severity: str | None = None


class Problem(View):
    """Problem details, RFC 9457. `type` is `/problems/<slug>`."""

    type: str = Field(examples=["/problems/invalid_request"])
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] | None = None


_FIRST: Final = ("messages", "calls", "jobs", "senders", "limits", "opt-outs", "events")  # as readers look for them


def document(operations: Iterable[Operation]) -> Schema:
    """The whole description, but for `servers`: where the API is reached."""
    found = [each for each in operations if each.path.startswith(("/v1", "/oauth", "/healthz", "/readyz", "/metrics"))]
    models: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(Problem, "serialization")]
    for each in found:
        models += [(model, "validation") for model in (each.body, each.query) if model is not None]
        models += [(model, "serialization") for model in each.answers.values() if model is not None]
    refs, definitions = models_json_schema(
        list(dict.fromkeys(models)), ref_template="#/components/schemas/{model}", schema_generator=_Schemas
    )
    paths: dict[str, Schema] = {}
    for each in found:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Campaign gateway", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, `gwk_…`, or a token."},
            },
        },
        "tags": [{"name": name} for name in dict.fromkeys((*_FIRST, *(_tag(each) for each in found)))],
    }


class _Schemas(GenerateJsonSchema):
    """A property is not required to be given only because it has a default; titles that repeat names are left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def _tag(each: Operation) -> str:
    parts = each.path.strip("/").split("/")
    return parts[1] if parts[0] == "v1" else "service"


def _operation(each: Operation, refs: Any) -> Schema:
    told: Schema = {
        "operationId": each.name,
        "summary": each.summary,
        "description": inspect.getdoc(each.handler) or "",
        "tags": [_tag(each)],
        "parameters": [*_path_parameters(each), *_query_parameters(each), *_header_parameters(each)],
        "responses": _responses(each, refs),
        "security": [{"key": []}] if each.scope is not None else [],
    }
    if each.scope is not None:
        told["description"] += f"\n\nScope: `{each.scope}`."
    if each.body is not None:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": refs[each.body, "validation"]}}}
    if each.takes:
        content = {kind: {"schema": {"type": "string", "description": about}} for kind, about in each.takes.items()}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _path_parameters(each: Operation) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _IN_PATH.findall(each.path)
    ]


def _query_parameters(each: Operation) -> list[Schema]:
    if each.query is None:
        return []
    schema = each.query.model_json_schema(by_alias=True, schema_generator=_Schemas)
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": field}
        for name, field in schema.get("properties", {}).items()
    ]


def _header_parameters(each: Operation) -> list[Schema]:
    if not each.idempotent:
        return []
    about = "The same key with the same request gives the same answer and does nothing twice; kept 24 hours."
    schema = {"type": "string", "maxLength": 255}
    return [{"name": "Idempotency-Key", "in": "header", "required": False, "description": about, "schema": schema}]


def _responses(each: Operation, refs: Any) -> Schema:
    responses: Schema = {}
    for status, model in each.answers.items():
        schema = refs[model, "serialization"] if model is not None else {}
        kind = JSON if model is not None else each.gives
        responses[str(status)] = {"description": _WORDS.get(status, "Done.")}
        if status != 204:
            responses[str(status)]["content"] = {kind: {"schema": schema}}
    problem = refs[Problem, "serialization"]
    responses["default"] = {"description": "A problem.", "content": {CONTENT_TYPE: {"schema": problem}}}
    return responses


_WORDS: Final = {200: "Done.", 201: "Made.", 202: "Accepted, and on disk.", 503: "Not ready."}
