"""The description of the API at `/openapi.json`, made of the routes and of the models in `serving.api.schemas`."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute

from serving.api.schemas.answers import ErrorBody
from serving.api.settings import ApiSettings
from serving.cards import ModelCard, Task
from serving.errors import (
    BodyTooLarge,
    ContextTooLong,
    DeadlineExceeded,
    EngineFailed,
    EngineUnavailable,
    IncompleteGeneration,
    InputTooLong,
    InvalidRequest,
    LimitExceeded,
    MoaError,
    Overloaded,
    QuorumNotReached,
    SlowBody,
    Unauthorized,
    UnknownModel,
    UnsupportedField,
    WrongContentType,
)

Json = dict[str, Any]
COMPONENTS = "#/components/schemas/"
OF_BODIES = (
    *(InvalidRequest, UnsupportedField, ContextTooLong, LimitExceeded, Unauthorized, UnknownModel, SlowBody),
    *(BodyTooLarge, WrongContentType, Overloaded, MoaError),
)
OF_GENERATION = (
    *OF_BODIES,
    *(EngineFailed, IncompleteGeneration, QuorumNotReached, EngineUnavailable, DeadlineExceeded),
)
OF_POOLING = (
    *(InvalidRequest, UnsupportedField, InputTooLong, Unauthorized, UnknownModel, SlowBody, BodyTooLarge),
    *(WrongContentType, Overloaded, MoaError, EngineFailed, EngineUnavailable, DeadlineExceeded),
)
ABOUT = """A self-hosted server that answers with a team of open-weight models. `model` is the id of a model or of a
recipe, in which several models answer and one joins their answers. Clients of OpenAI's and of Anthropic's API work with
it."""
POOLING_BODIES: Mapping[str, tuple[Task, ...]] = {"EmbeddingsBody": ("embed",), "RerankBody": ("embed", "rerank")}
END = "[DONE]"  # data of the last event
RETRY_AFTER = {"description": "Seconds after which to retry.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
DEGRADED = {
    "description": "Present if a recipe made the answer with less than it asks for; then `moa` has the reasons.",
    "schema": {"enum": ["true"]},
}


CACHE = {
    "description": "Present if the response cache is on for the request. `stored`: the answer was computed, and is"
    " stored now; a stream, whose headers come first, has `hit` or `miss`.",
    "schema": {"enum": ["hit", "miss", "stored"]},
}
OF_ANSWERS: Json = {"x-moa-degraded": DEGRADED, "x-moa-cache": CACHE}


def schema_of(model: type[BaseModel]) -> Json:
    """Reference to a model's schema, and all schemas that it needs, which `document` moves to the components."""
    schema = model.model_json_schema(ref_template=COMPONENTS + "{model}")
    definitions = schema.pop("$defs", {})
    return {"$ref": COMPONENTS + model.__name__, "$defs": {**definitions, model.__name__: schema}}


def json_body(model: type[BaseModel]) -> Json:
    """`openapi_extra` of an endpoint whose body `body_parser` reads."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema_of(model)}}}}


def responses(
    answer: type[BaseModel],
    *errors: type[MoaError],
    description: str = "The answer.",
    chunk: type[BaseModel] | None = None,
    headers: Json | None = None,
    error_body: type[BaseModel] = ErrorBody,
    event_name: bool = False,
) -> dict[int | str, Json]:
    """All responses of an endpoint.

    Args:
        answer: JSON of the answer.
        errors: what it may answer instead, each with its own status.
        description: of the answer.
        chunk: JSON of each event, if the answer can be streamed.
        headers: of the answer, with their descriptions.
        error_body: JSON of the errors.
        event_name: events have names, and the last one is not `[DONE]`.
    """
    content: Json = {"application/json": {"schema": schema_of(answer)}}
    if chunk is not None:
        # `itemSchema` is OpenAPI 3.2's way to describe a stream, which FastAPI and others use in 3.1 already.
        json = {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"oneOf": [schema_of(chunk), schema_of(error_body)]},
        }
        if event_name:
            fields: Json = {"event": {"type": "string"}, "data": {"description": "An event as JSON.", **json}}
        else:
            about = f"A chunk or an error as JSON. The last event has `{END}`."
            fields = {"data": {"description": about, "anyOf": [{"const": END}, json]}}
        event = {"type": "object", "properties": fields, "required": [*fields]}
        content["text/event-stream"] = {"itemSchema": event}
    ok: Json = {"description": description, "content": content}
    described: dict[int | str, Json] = {200: ok if headers is None else {**ok, "headers": headers}}
    for status in sorted({error.status for error in errors}):
        classes = [error for error in errors if error.status == status]
        meanings = [f"`{error.code}`: {(error.__doc__ or '').splitlines()[0]}" for error in classes]
        described[status] = {
            "description": " ".join(meanings),
            "content": {"application/json": {"schema": schema_of(error_body)}},
        }
        if status in (429, 503):
            described[status]["headers"] = {"retry-after": RETRY_AFTER}
    return described


def document(routes: list[BaseRoute], version: str, cards: Sequence[ModelCard], settings: ApiSettings) -> Json:
    """The whole description.

    Args:
        routes: of the application.
        version: of the server.
        cards: of the models and recipes that requests may name.
        settings: the limits of fields, and if a key is required.
    """
    api = get_openapi(title="MoA server", version=version, description=ABOUT, routes=routes)
    for node in _nodes(api):
        node.pop("$defs", None)
    # From the routes: in what FastAPI makes of them, bounds are floats, which 64-bit integers do not fit.
    schemas: Json = {}
    for route in routes:
        if isinstance(route, APIRoute):
            for node in _nodes([route.openapi_extra, route.responses]):
                schemas |= node.get("$defs", {})
    schemas = deepcopy(schemas)
    for operations in api["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)  # FastAPI's own error, which does not occur
            if not settings.requires_key:
                operation["responses"].pop("401", None)
            elif "401" in operation["responses"]:
                operation["security"] = [{"bearer": []}, {"x-api-key": []}]
    for name, schema in schemas.items():
        tasks = POOLING_BODIES.get(name, ("generate",))
        served = [card.id for card in cards if card.task in tasks]
        models = [*served, *(alias for alias, target in settings.aliases.items() if target in served)]
        for one in (schema, *schema.get("oneOf", ())):
            fields = one.get("properties", {})
            if name in POOLING_BODIES:
                _set_pooling_limits(fields, models, settings)
            else:
                _set_limits(fields, models, settings)
    api["components"] = {"schemas": dict(sorted(schemas.items()))}
    if settings.requires_key:
        api["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
    return api


def _nodes(value: Any) -> Iterator[Json]:
    """All objects in a document, each before those inside it."""
    if isinstance(value, dict):
        inner = list(value.values())
        yield value
        for part in inner:
            yield from _nodes(part)
    elif isinstance(value, list):
        for part in value:
            yield from _nodes(part)


def _set_limits(fields: Json, models: list[str], settings: ApiSettings) -> None:
    """Write the operator's limits into the schema of a body, which is known by its `model` field."""
    if "model" not in fields or not {"messages", "input", "prompt", "tokens"} & set(fields):
        return
    if models:
        fields["model"]["enum"] = models
    for shape in fields.get("prompt", {}).get("anyOf", ()):
        if shape.get("items", {}).get("type") in ("string", "array"):
            shape["maxItems"] = settings.max_prompts
    limits = {
        "messages": ("maxItems", settings.max_messages),
        "input": ("maxItems", settings.max_messages),
        "tools": ("maxItems", settings.max_tools),
        "n": ("maximum", settings.max_choices),
        "max_tokens": ("maximum", settings.max_tokens),
        "max_completion_tokens": ("maximum", settings.max_tokens),
        "max_output_tokens": ("maximum", settings.max_tokens),
        "min_tokens": ("maximum", settings.max_tokens),
    }
    for name, (bound, value) in limits.items():
        for option in _typed(fields.get(name, {})):
            option[bound] = value


def _set_pooling_limits(fields: Json, models: list[str], settings: ApiSettings) -> None:
    """The same for a body of `POOLING_BODIES`, of which `models` may be none."""
    if models and "model" in fields:
        fields["model"]["enum"] = models
    for name in {"input", "documents"} & set(fields):
        for option in fields[name].get("anyOf", [fields[name]]):
            if option.get("type") == "array" and option["items"].get("type") != "integer":  # an input of token ids
                option["maxItems"] = settings.max_inputs


def _typed(field: Json) -> list[Json]:
    """The option of a field that is not null, if there is one; of several the last, as a list comes after a string."""
    options: list[Json] = field.get("anyOf", [field])
    return [option for option in options if option.get("type", "null") != "null"][-1:]
