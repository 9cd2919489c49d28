"""Prompts of pooling models: texts, alone or in pairs, as the model's tokenizer and score template write them."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from vllm.entrypoints.pooling.scoring.utils import compress_token_type_ids, truncate_text_to_tokens

from deployments.model.pooling_adapter import PoolingPrompt
from serving.errors import InputTooLong, InvalidRequest
from serving.pooling import TO_CONTEXT, Input

T = TypeVar("T")
# vLLM's `CrossEncoderIOProcessor.get_score_prompt`: tokens of a query and a document.
ScorePrompt = Callable[..., tuple[str, Any]]


class PoolingPrompts:
    """Writer of one model's prompts.

    It works in one thread of its own: no other request waits for the tokenizer, whose truncation is no thread's alone.
    """

    def __init__(
        self,
        model: str,
        tokenizer: Any,
        context_tokens: int,
        vocabulary: int,
        *,
        lower_case: bool = False,
        score_prompt: ScorePrompt | None = None,
        score_template: str | None = None,
    ) -> None:
        """Prepare the tokenizer.

        Args:
            model: id of the model, for errors.
            tokenizer: the model's Hugging Face tokenizer.
            context_tokens: length of the model's context.
            vocabulary: number of the model's tokens.
            lower_case: the model reads lower case only, as its Sentence Transformers config says.
            score_prompt: writes pairs, for a cross-encoder.
            score_template: template of pairs. None: as the model has it.
        """
        self.model, self.context_tokens = model, context_tokens
        self._tokenizer, self._vocabulary, self._lower_case = tokenizer, vocabulary, lower_case
        self._score_prompt, self._score_template = score_prompt, score_template
        self._thread = ThreadPoolExecutor(1, "tokenizer")

    async def alone(
        self,
        inputs: Sequence[Input],
        names: Sequence[str],
        truncate_tokens: int | None,
        text_tokens: int | None = None,
    ) -> list[PoolingPrompt]:
        """A prompt for each of `inputs`.

        Args:
            inputs: texts or token ids.
            names: the request's fields that they are from, for errors.
            truncate_tokens: maximum length of a prompt, `TO_CONTEXT` for the model's context. None: not cut.
            text_tokens: maximum length of a text without the model's own tokens around it. None: not cut.

        Raises:
            InputTooLong: a prompt does not fit the context.
            InvalidRequest: a prompt has no tokens, or ids that the model does not have.
        """
        limit = self.context_tokens if truncate_tokens == TO_CONTEXT else truncate_tokens

        def write() -> list[PoolingPrompt]:
            texts = [self._text(one, text_tokens) for one in inputs if isinstance(one, str)]
            encoded = iter(self._encode(texts, limit) if texts else ())
            written = [next(encoded) if isinstance(one, str) else one[:limit] for one in inputs]
            for name, token_ids, given in zip(names, written, inputs, strict=True):
                self._check(name, token_ids, given)
            return [PoolingPrompt(token_ids) for token_ids in written]

        return await self._in_thread(write)

    async def pairs(
        self, query: str, documents: Sequence[str], truncate_tokens: int | None, document_tokens: int | None
    ) -> list[PoolingPrompt]:
        """A prompt for the query with each document. Raises as `alone`."""
        assert self._score_prompt is not None
        write_pair = self._score_prompt
        limit = self.context_tokens if truncate_tokens == TO_CONTEXT else truncate_tokens
        # Pairs are cut at the longer of the two texts first, so that a model's last tokens stay where they belong.
        cut = {"truncation": limit is not None, **({} if limit is None else {"max_length": limit})}

        def write() -> list[PoolingPrompt]:
            asked, written = self._text(query, None), []
            for index, document in enumerate(documents):
                _, prompt = write_pair(
                    asked,
                    self._text(document, document_tokens),
                    {"add_special_tokens": True, **cut},
                    self._score_template,
                )
                token_ids = tuple(prompt["prompt_token_ids"])
                self._check(f"documents[{index}]", token_ids, document)
                types = prompt.get("token_type_ids")
                written.append(PoolingPrompt(token_ids, None if not types else compress_token_type_ids([*types])))
            return written

        return await self._in_thread(write)

    async def _in_thread(self, write: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, write)

    def _text(self, text: str, limit: int | None) -> str:
        text = text.lower() if self._lower_case else text
        return text if limit is None else truncate_text_to_tokens(text, self._tokenizer, limit)

    def _encode(self, texts: list[str], limit: int | None) -> list[tuple[int, ...]]:
        cut = {} if limit is None else {"truncation": True, "max_length": limit}
        return [tuple(ids) for ids in self._tokenizer(texts, add_special_tokens=True, **cut)["input_ids"]]

    def _check(self, name: str, token_ids: Sequence[int], given: Input) -> None:
        if not token_ids:
            raise InvalidRequest(f"Give '{name}' a text with at least one token.", name)
        if len(token_ids) > self.context_tokens:
            raise InputTooLong(self.model, name, len(token_ids), self.context_tokens)
        if not isinstance(given, str) and (largest := max(token_ids)) >= self._vocabulary:
            raise InvalidRequest(
                f"Set '{name}' to token ids below {self._vocabulary}, the vocabulary of '{self.model}', not {largest};"
                " or send texts.",
                name,
            )
