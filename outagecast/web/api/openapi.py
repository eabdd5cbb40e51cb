"""The OpenAPI 3.1 document, made from the table of routes and the very models that check the bodies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

from outagecast import __version__
from outagecast.web.api.outages import answer
from outagecast.web.services import PAGES, SERVICES

REF = "#/components/schemas/{model}"
DOCUMENT = web.AppKey("openapi", dict[str, Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Doc:
    """What a route of the API says about itself. `answer` is a TypedDict; None: nothing, or free-form JSON."""

    summary: str
    body: type[BaseModel] | None = None
    answer: Any = None
    status: int = 200
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    free_form: bool = False


_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. Nothing was changed.",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def build(routes: Iterable[tuple[str, str, Doc]], *, title: str, server: str) -> dict[str, Any]:
    """The document for (method, path, doc) of every route."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for method, path, doc in routes:
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, doc, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


async def document(request: web.Request) -> web.Response:
    return answer(request.app[DOCUMENT], headers={"Cache-Control": "public, max-age=60"})


async def docs(request: web.Request) -> web.Response:
    """The same for people."""
    return request.app[PAGES].render(
        "docs.html", api=request.app[DOCUMENT], url=request.app[SERVICES].provider.public_url
    )


def _operation(method: str, path: str, doc: Doc, schemas: dict[str, Any]) -> dict[str, Any]:
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    said: dict[str, Any] = {"description": "Done; committed." if method != "GET" else "What was asked for."}
    if doc.answer is not None:
        said["content"] = {"application/json": {"schema": _schema(doc.answer, schemas)}}
    elif doc.free_form:
        said["content"] = {"application/json": {"schema": {"type": "object"}}}
    operation: dict[str, Any] = {
        "operationId": _name(method, path),
        "summary": doc.summary,
        "parameters": _parameters(path, doc),
        "responses": {str(doc.status): said, "default": {"description": "What is wrong.", **problem}},
    }
    if doc.body is not None or (doc.free_form and method == "PUT"):
        schema = _schema(doc.body, schemas) if doc.body is not None else {"type": "object"}
        required = doc.body is None or any(part.is_required() for part in doc.body.model_fields.values())
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(path: str, doc: Doc) -> list[dict[str, Any]]:
    text = {"type": "string"}
    names = [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")]
    return [
        *({"name": name, "in": "path", "required": True, "schema": text} for name in names),
        *({"name": n, "in": "query", "schema": text, "description": says} for n, says in doc.query.items()),
        *({"name": n, "in": "header", "schema": text, "description": says} for n, says in doc.headers.items()),
    ]


def _schema(model: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    made = TypeAdapter(model).json_schema(ref_template=REF, mode="validation")
    schemas.update(made.pop("$defs", {}))
    schemas[model.__name__] = made
    return {"$ref": REF.format(model=model.__name__)}


def _name(method: str, path: str) -> str:
    parts = [part.strip("{}") for part in path.removeprefix("/api/v1/").split("/")]
    return "_".join([method.lower(), *parts]).replace(".", "_").replace("-", "_")
