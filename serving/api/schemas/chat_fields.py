"""Fields of chat requests: what is not supported, what depends on a message's role, and shapes for the description.

The shapes describe for `/openapi.json` what validation checks in other places.
"""

from collections.abc import Collection

from serving.api.schemas.wire import Json, variant

INT64_MAX = 2**63 - 1
INT32_MAX = 2**31 - 1

# Fields of OpenAI's and vLLM's API that this server does not support, with the values that ask for nothing and are
# accepted.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "add_special_tokens": (False,),
    "audio": (),
    "best_of": (1,),
    "chat_template": (),
    "documents": ([],),
    "echo": (False,),
    "function_call": ("none",),
    "functions": ([],),
    "length_penalty": (1,),
    "logprob_token_ids": ([],),
    "modalities": (["text"],),
    "moderation": (),
    "prompt_logprobs": (),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "truncate_prompt_tokens": (),
    "use_beam_search": (False,),
    "web_search_options": (),
}
NO_BEAMS = "beam search is not supported"
# Of fields that are not supported: why, or what takes their place.
REASONS: dict[str, str] = {
    "best_of": "set 'n', and choose among the answers",
    "chat_template": "the operator sets it for each model",
    "function_call": "use 'tool_choice'",
    "functions": "use 'tools'",
    "guided_choice": "use 'structured_outputs.choice'",
    "guided_decoding_backend": "the operator sets it for each model",
    "guided_grammar": "use 'structured_outputs.grammar'",
    "guided_json": "use 'structured_outputs.json'",
    "guided_regex": "use 'structured_outputs.regex'",
    "guided_whitespace_pattern": "the operator sets it for each model",
    "length_penalty": NO_BEAMS,
    "truncate_prompt_tokens": "prompts are not cut; shorten the messages",
    "use_beam_search": NO_BEAMS,
}
# Other fields of OpenAI's messages. Its client adds some to an assistant's message that is sent back as history.
NEUTRAL_IN_MESSAGE: dict[str, tuple[object, ...]] = {
    "audio": (),
    "function_call": (),
    "reasoning_details": ([],),
}
# Fields of messages that one role has. Other roles may give them empty.
ROLE_OF_FIELD = {
    "reasoning_content": "assistant",
    "reasoning": "assistant",
    "refusal": "assistant",
    "tool_calls": "assistant",
    "tool_call_id": "tool",
}
# Fields that messages of a role must have, if not `content` alone.
REQUIRED_OF_ROLE: dict[str, tuple[str, ...]] = {"assistant": (), "tool": ("content", "tool_call_id")}
IMAGE_ROLES = frozenset({"user", "tool"})  # whose messages may have images


# Arguments of transformers' and vLLM's chat template functions that are no variables of a template. A template in a
# request would be run by the server.
RESERVED_TEMPLATE_ARGS = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "documents",
        "max_length",
        "messages",
        "padding",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "tokenize",
        "tokenizer_kwargs",
        "tools",
        "truncation",
    }
)
FUNCTION_NAME: Json = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
NULL: Json = {"type": "null"}
OBJECT_SCHEMA: Json = {
    "type": "object",
    "properties": {
        "type": {"const": "object"},
        "properties": {"type": "object"},
        "required": {"type": "array", "items": {"type": "string"}},
    },
}
PARAMETERS: Json = {"anyOf": [OBJECT_SCHEMA, NULL]}
TEMPLATE_ARGS: Json = {"propertyNames": {"not": {"enum": sorted(RESERVED_TEMPLATE_ARGS)}}}
METADATA: Json = {
    "maxProperties": 16,
    "propertyNames": {"maxLength": 64},
    "additionalProperties": {"anyOf": [{"type": "string", "maxLength": 512}, NULL]},
}
TOKEN_ID_KEY = "^(0|[1-9][0-9]{0,8})$"
TOKEN_BIASES: Json = {
    "propertyNames": {"pattern": TOKEN_ID_KEY},
    "additionalProperties": {"anyOf": [{"type": "number", "minimum": -100, "maximum": 100}, NULL]},
}
_CACHE: Json = {
    "description": 'Response cache: an object with the time in seconds for which the answer is kept, or "off".',
    "anyOf": [
        {"enum": [None, "off"]},
        {
            "type": "object",
            "properties": {"ttl_s": {"type": "number", "exclusiveMinimum": 0}},
            "required": ["ttl_s"],
            "additionalProperties": False,
        },
    ],
}
_PREVIEW: Json = {
    "type": ["boolean", "null"],
    "description": "Show the first proposal of a recipe as reasoning while it is written.",
}
_OPTIONS: Json = {"trace": {"type": ["boolean", "null"]}, "recipe": {"type": ["string", "null"]}, "cache": _CACHE}
NOT_LIVE = "Only /v1/chat/completions has it."
MOA: Json = {  # of dialects without a live view of the run
    "properties": {
        **_OPTIONS,
        "preview": _PREVIEW,
        "events": {"enum": [None, False], "description": NOT_LIVE},
        "show": {"enum": [None, "answer"], "description": NOT_LIVE},
    },
    "additionalProperties": True,
}
LIVE_MOA: Json = {
    "properties": {
        **_OPTIONS,
        "preview": _PREVIEW,
        "events": {
            "enum": [None, False, True, "text"],
            "description": 'Add the events of a recipe\'s run to a stream; "text": also the text of its proposals.',
        },
        "show": {
            "enum": [None, "answer", "reasoning"],
            "description": '"reasoning": show the proposals of a recipe as reasoning before the answer.',
        },
    },
    "additionalProperties": True,
}


def message_variants(schema: Json) -> None:
    """Describe a message by its role."""
    plain, listed = (option for option in schema["properties"]["content"]["anyOf"] if option != NULL)
    text, image, refusal = listed["items"]["oneOf"]

    def content(role: str, required: Collection[str]) -> Json:
        kinds = [text, image] if role in IMAGE_ROLES else [text, refusal] if role == "assistant" else [text]
        nulls = [] if "content" in required else [NULL]
        return {"anyOf": [plain, {"type": "array", "items": {"oneOf": kinds}}, *nulls]}

    def of_role(*roles: str) -> Json:
        required = REQUIRED_OF_ROLE.get(roles[0], ("content",))
        changes: Json = {name: {"enum": [None, "", []]} for name, owner in ROLE_OF_FIELD.items() if owner not in roles}
        changes["role"] = {"enum": list(roles)}
        changes["content"] = content(roles[0], required)
        if "tool_call_id" in required:
            changes["tool_call_id"] = {"type": "string", "maxLength": 256}
        return variant(schema, changes, ("role", *required))

    _replace(schema, [of_role(*roles) for roles in (("system", "developer"), ("user",), ("assistant",), ("tool",))])


def tool_choice_variants(schema: Json) -> None:
    """Describe a choice of tools by its type."""
    function = next(option for option in schema["properties"]["function"]["anyOf"] if option != NULL)
    modes = ["none", "auto", "required"]
    allowed = next(option for option in schema["properties"]["allowed_tools"]["anyOf"] if option != NULL)
    named: Json = {"type": {"const": "function"}, "function": function, "allowed_tools": NULL}
    some: Json = {"type": {"const": "allowed_tools"}, "allowed_tools": allowed, "function": NULL}
    plain: Json = {"type": {"enum": modes}, "function": NULL, "allowed_tools": NULL}
    variants = ((named, ("type", "function")), (some, ("type", "allowed_tools")), (plain, ("type",)))
    _replace(schema, [variant(schema, changes, required) for changes, required in variants])


def response_format_variants(schema: Json) -> None:
    """Describe a format by its type."""
    json_schema = next(option for option in schema["properties"]["json_schema"]["anyOf"] if option != NULL)
    by_schema = variant(schema, {"type": {"const": "json_schema"}, "json_schema": json_schema}, ("type", "json_schema"))
    plain = variant(schema, {"type": {"enum": ["text", "json_object"]}, "json_schema": NULL}, ("type",))
    _replace(schema, [plain, by_schema])


def _replace(schema: Json, variants: list[Json]) -> None:
    about: Json = {key: schema[key] for key in ("title", "description") if key in schema}
    schema.clear()
    schema.update({**about, "oneOf": variants})
