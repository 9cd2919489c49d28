"""Tools that this server does not have: refused by name, or left out and named in the answer."""

import logging
import re
from collections.abc import Callable, Mapping

from serving.api.dialects.openai_json import Json
from serving.api.dialects.unions import member, validated
from serving.api.schemas.unsupported_tools import OmittingBody
from serving.api.schemas.wire import Wire
from serving.api.settings import ApiSettings

logger = logging.getLogger("serving.api")


def parsed_tools(
    raw: object,
    models: Mapping[str, type[Wire]],
    others: re.Pattern[str],
    settings: ApiSettings,
    default: str | None,
    parse: Callable[[Json, type[Wire], str], Wire] = validated,
) -> tuple[object, tuple[str, ...]]:
    """The field `tools` as the models of their types, and a sentence for each tool that was left out.

    Args:
        raw: the field; anything but a list is returned for later validation.
        models: the supported types.
        others: types that the setting `unsupported_tools` may leave out.
        settings: has this setting.
        default: type of a tool without `type`; None: it is required.
        parse: makes a model of a tool's fields, with their path for errors.

    Raises:
        InvalidRequest: a tool is invalid.
        UnsupportedField: a tool's type or field is not supported.
    """
    if not isinstance(raw, list):
        return raw, ()
    tools, omitted = [], []
    for index, tool in enumerate(raw):
        path = f"tools[{index}]"
        kind = tool.get("type") if isinstance(tool, dict) else None
        if settings.unsupported_tools == "omit" and isinstance(kind, str) and others.fullmatch(kind):
            omitted.append(f"{path} was left out: this server has no tools of the type '{kind}'")
            continue
        model, fields = member(tool, models, path, "tools", default=default)
        tools.append(parse(fields, model, path))
    return tools, tuple(omitted)


def log_omitted(body: OmittingBody, request_id: str) -> None:
    """Log what was left out of the request `request_id`."""
    for sentence in body.omitted:
        logger.info("request %s: %s", request_id, sentence)


def with_omitted(moa: Json | None, model: str, omitted: tuple[str, ...]) -> Json | None:
    """The `moa` object of an answer of `model`, with a reason for each tool that was left out."""
    if not omitted:
        return moa
    known = moa or {"recipe": model, "degraded": False, "reasons": []}
    return {**known, "reasons": [*known["reasons"], *omitted]}
