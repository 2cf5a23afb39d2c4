"""The description of the API: OpenAPI 3.1, made of what the operations declare. https://spec.openapis.org/oas/v3.1.1"""

import json
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any

from flask import Response, current_app
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from receiver import __version__
from receiver.admin.api.operations import IDEMPOTENCY_HEADER, KEY_PATTERN, Operation, Resource
from receiver.admin.stream import POSITION_HEADER, POSITION_PATTERN

NAME = "receiver.admin.description"

resource = Resource("description")

_REF = "#/components/schemas/{model}"
_PROBLEM = {
    "description": "Anything else: what is wrong, as RFC 9457 writes it.",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["detail"],
                            "properties": {
                                "detail": {"type": "string"},
                                "parameter": {"type": "string"},
                                "pointer": {"type": "string"},
                            },
                        },
                    },
                },
            }
        }
    },
}
_KINDS = {"follow": "text/event-stream", "describe": "application/json"}
_HEADERS: Mapping[str, dict[str, Any]] = {
    "follow": {
        "name": POSITION_HEADER,
        "in": "header",
        "description": "The id of what was told last: what came after it is told. Browsers send it by themselves.",
        "schema": {"type": "string", "pattern": POSITION_PATTERN},
    }
}
_LINK = {
    "Link": {"description": 'The next page, as `rel="next"`; on the last there is none.', "schema": {"type": "string"}}
}


@resource.get("/openapi.json")
def describe() -> Response:
    """Describe the API: this document."""
    return Response(current_app.extensions[NAME](), mimetype="application/json")


def document(operations: Sequence[Operation], prefix: str) -> str:
    """The description of these operations, as JSON."""
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schemas)
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Receiver",
                "version": __version__,
                "description": "What the page and the commands of a Receiver do, for programs.",
            },
            "servers": [{"url": prefix}],
            "security": [{"token": []}],
            "paths": paths,
            "components": {
                "schemas": schemas.definitions,
                "responses": {"Problem": _PROBLEM},
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A token that `receiver tokens add` made.",
                    }
                },
            },
        }
    )


class _Schemas:
    """The schemas of everything that operations take and give, each of which may refer to the others."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        adapters: dict[tuple[str, JsonSchemaMode], TypeAdapter[Any]] = {}
        for operation in operations:
            for name, hint in operation.parameters.items():
                adapters[f"{operation.name} {name}", "validation"] = TypeAdapter(hint)
            if operation.query is not None:
                adapters[f"{operation.name} ?", "validation"] = TypeAdapter(operation.query)
            if operation.body is not None:
                adapters[f"{operation.name} body", "validation"] = TypeAdapter(operation.body)
            if operation.answer not in (Response, NoneType):
                adapters[f"{operation.name} answer", "serialization"] = TypeAdapter(operation.answer)
        generator = GenerateJsonSchema(ref_template=_REF)
        made, definitions = generator.generate_definitions(
            [(key, mode, adapter.core_schema) for (key, mode), adapter in adapters.items()]
        )
        self.definitions: dict[str, dict[str, Any]] = {str(name): schema for name, schema in definitions.items()}
        self._made = {key: schema for (key, _), schema in made.items()}

    def of(self, operation: Operation, part: str) -> dict[str, Any]:
        """The schema of one part of an operation."""
        return dict(self._made[f"{operation.name} {part}"])

    def properties(self, operation: Operation) -> Mapping[str, dict[str, Any]]:
        """The schemas of an operation's query parameters."""
        schema = self.of(operation, "?")
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        properties: dict[str, dict[str, Any]] = (self.definitions.pop(name) if name else schema)["properties"]
        return properties


def _described(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(operation, name)}
        for name in operation.parameters
    ]
    if operation.query is not None:
        parameters += [_query_parameter(name, schema) for name, schema in schemas.properties(operation).items()]
    if operation.once:
        parameters.append(
            {
                "name": IDEMPOTENCY_HEADER,
                "in": "header",
                "description": "For a day, the same request with the same key is answered the same and done once.",
                "schema": {"type": "string", "pattern": KEY_PATTERN},
            }
        )
    if operation.name in _HEADERS:
        parameters.append(_HEADERS[operation.name])
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"{operation.description}\n\nIt takes the scope `{operation.scope}`.".strip(),
        "tags": [operation.tag],
        "parameters": parameters,
        "responses": {**_answers(operation, schemas), "default": {"$ref": "#/components/responses/Problem"}},
    }
    if operation.body is not None:
        content = {"application/json": {"schema": schemas.of(operation, "body")}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _answers(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    if operation.answer is NoneType:
        return {"204": {"description": "It is done."}}
    answer: dict[str, Any] = {"description": operation.summary}
    if operation.answer is Response:
        kind = _KINDS.get(operation.name, "application/octet-stream")
        answer["content"] = {kind: {"schema": {}}}
    else:
        answer["content"] = {"application/json": {"schema": schemas.of(operation, "answer")}}
    if operation.query is not None and "before" in operation.query.model_fields:
        answer["headers"] = _LINK
    return {str(int(operation.status)): answer}


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not given is left out, and never null."""
    schema = {key: value for key, value in schema.items() if key not in ("title", "default") or value is not None}
    description = schema.pop("description", None)
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    parameter = {"name": name, "in": "query", "required": False, "schema": {**schema, **(kinds[0] if kinds else {})}}
    return {**parameter, "description": description} if description else parameter
