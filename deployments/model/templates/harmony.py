"""Prompts of gpt-oss in the harmony format, by openai-harmony and vLLM's conversion of messages."""

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionToolsParam
from vllm.entrypoints.openai.parser.harmony_utils import (
    REASONING_EFFORT,
    build_harmony_preamble,
    extract_instructions_from_messages,
    get_encoding,
    parse_chat_inputs_to_harmony_messages,
    render_for_completion,
)

from deployments.model.templates.base import Turn
from deployments.model.templates.tokens import TokenTemplate
from deployments.model.token_lengths import byte_alphabet
from serving.errors import ConfigError, InvalidRequest

VOCABULARY_VARIABLE = "TIKTOKEN_ENCODINGS_BASE"  # directory in which openai-harmony looks for its vocabulary
VOCABULARY_FILE = "o200k_base.tiktoken"
VOCABULARY_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"


class HarmonyTemplate(TokenTemplate):
    """Template of gpt-oss: instructions are a developer message; earlier thoughts stay until the next final answer."""

    known_args = frozenset({"reasoning_effort"})

    def __init__(self, tokenizer: Any, model: str) -> None:
        """Load openai-harmony's vocabulary; without a network, it is made of the tokenizer's.

        Raises:
            ConfigError: the tokenizer has another vocabulary.
        """
        super().__init__(tokenizer)
        if VOCABULARY_VARIABLE not in os.environ:
            os.environ[VOCABULARY_VARIABLE] = str(write_vocabulary(tokenizer, model))
        self._encoding: Any = get_encoding()  # type: ignore[no-untyped-call]

    def _ids(self, turns: Sequence[Turn], tools: Sequence[Turn], args: Mapping[str, Any]) -> Sequence[int]:
        effort = args.get("reasoning_effort")
        if effort is not None and effort not in REASONING_EFFORT:
            why = "reasoning_effort must be low, medium or high; the model always thinks."
            raise InvalidRequest(why, "reasoning_effort")
        instructions, rest = extract_instructions_from_messages(turns)
        preamble = build_harmony_preamble(
            instructions=instructions,
            tools=[ChatCompletionToolsParam.model_validate(tool) for tool in tools] or None,
            reasoning_effort=effort,
            with_custom_tools=bool(tools),
        )
        return render_for_completion([*preamble, *parse_chat_inputs_to_harmony_messages(rest)])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._encoding.decode(ids))

    def control_ids(self) -> frozenset[int]:
        strings = self._encoding.special_tokens_set
        return frozenset(self._encoding.encode(string, allowed_special="all")[0] for string in strings)

    def control_strings(self) -> tuple[str, ...]:
        return tuple(sorted(self._encoding.special_tokens_set))


def write_vocabulary(tokenizer: Any, model: str) -> Path:
    """Write the vocabulary of gpt-oss's tokenizer as the file that openai-harmony otherwise downloads.

    Returns:
        Its directory.

    Raises:
        ConfigError: the tokenizer has another vocabulary.
    """
    bytes_of = byte_alphabet()
    vocabulary: Mapping[str, int] = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]
    try:
        rows = sorted((rank, bytes(bytes_of[character] for character in token)) for token, rank in vocabulary.items())
    except KeyError:
        rows = []
    content = b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in rows)
    if hashlib.sha256(content).hexdigest() != VOCABULARY_SHA256:
        raise ConfigError(
            f"The tokenizer of '{model}' is not that of gpt-oss; set {VOCABULARY_VARIABLE} to a directory with"
            f" {VOCABULARY_FILE}."
        )
    directory = Path(tempfile.gettempdir()) / f"moa-harmony-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:  # whole at once, for other replicas
        file.write(content)
    Path(file.name).replace(directory / VOCABULARY_FILE)
    return directory
