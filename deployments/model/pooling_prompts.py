"""Prompts of pooling models: texts, alone or in pairs, as the model's tokenizer and score template write them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from vllm.entrypoints.pooling.scoring.utils import compress_token_type_ids, truncate_text_to_tokens

from deployments.model.pooling_adapter import PoolingPrompt
from deployments.model.prompt_budget import PromptBudget, PromptTooLong
from deployments.model.prompt_encoder import own_encode, renamed_encode
from deployments.model.prompt_worker import LONG_CHARACTERS, PromptWorker
from deployments.model.text_encoder import PIECE, text_encoder
from deployments.model.token_lengths import token_lengths
from serving.errors import InputTooLong, InvalidRequest
from serving.pooling import TO_CONTEXT, Input

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
        fast = getattr(tokenizer, "backend_tokenizer", None) is not None
        self._texts = text_encoder(
            # A copy, since the tokenizer itself is left with the truncation of its last call.
            renamed_encode(tokenizer, {}) if fast else own_encode(tokenizer),
            None if lower_case else token_lengths(tokenizer),
        )
        self._worker = PromptWorker(1)

    async def alone(
        self,
        inputs: Sequence[Input],
        names: Sequence[str],
        truncate_tokens: int | None,
        text_tokens: int | None = None,
        *,
        tenant: str = "",
    ) -> list[PoolingPrompt]:
        """A prompt for each of `inputs`.

        Args:
            inputs: texts or token ids.
            names: the request's fields that they are from, for errors.
            truncate_tokens: maximum length of a prompt, `TO_CONTEXT` for the model's context. None: not cut.
            text_tokens: maximum length of a text without the model's own tokens around it. None: not cut.
            tenant: id of the caller's; tenants get the thread in turns.

        Raises:
            InputTooLong: a prompt does not fit the context.
            InvalidRequest: a prompt has no tokens, or ids that the model does not have.
        """
        limit = self.context_tokens if truncate_tokens == TO_CONTEXT else truncate_tokens

        budget = PromptBudget()

        def write() -> list[PoolingPrompt]:
            texts = [
                self._fitting(self._text(one, text_tokens, budget), name, limit, budget)
                for one, name in zip(inputs, names, strict=True)
                if isinstance(one, str)
            ]
            encoded = self._encode(texts, limit, budget)
            written = [next(encoded) if isinstance(one, str) else one[:limit] for one in inputs]
            for name, token_ids, given in zip(names, written, inputs, strict=True):
                self._check(name, token_ids, given)
            return [PoolingPrompt(token_ids) for token_ids in written]

        return await self._worker.run(LONG_CHARACTERS, budget, write, tenant)

    async def pairs(
        self,
        query: str,
        documents: Sequence[str],
        truncate_tokens: int | None,
        document_tokens: int | None,
        *,
        tenant: str = "",
    ) -> list[PoolingPrompt]:
        """A prompt for the query with each document. Raises as `alone`."""
        assert self._score_prompt is not None
        write_pair = self._score_prompt
        limit = self.context_tokens if truncate_tokens == TO_CONTEXT else truncate_tokens
        # Pairs are cut at the longer of the two texts first, so that a model's last tokens stay where they belong.
        cut = {"truncation": limit is not None, **({} if limit is None else {"max_length": limit})}

        budget = PromptBudget()

        def write() -> list[PoolingPrompt]:
            asked, written = self._fitting(self._text(query, None, budget), "query", limit, budget), []
            for index, document in enumerate(documents):
                budget.check()
                text = self._text(document, document_tokens, budget)
                _, prompt = write_pair(
                    asked,
                    self._fitting(text, f"documents[{index}]", limit, budget),
                    {"add_special_tokens": True, **cut},
                    self._score_template,
                )
                token_ids = tuple(prompt["prompt_token_ids"])
                self._check(f"documents[{index}]", token_ids, document)
                types = prompt.get("token_type_ids")
                written.append(PoolingPrompt(token_ids, None if not types else compress_token_type_ids([*types])))
            return written

        return await self._worker.run(LONG_CHARACTERS, budget, write, tenant)

    def _text(self, text: str, limit: int | None, budget: PromptBudget) -> str:
        text = text.lower() if self._lower_case else text
        if limit is None:
            return text
        return truncate_text_to_tokens(self._texts.head(text, limit, budget), self._tokenizer, limit)

    def _fitting(self, text: str, name: str, limit: int | None, budget: PromptBudget) -> str:
        """`text` without an end that is cut off at `limit` in any case. Raises `InputTooLong` if it has no limit."""
        if limit is not None:
            left = getattr(self._tokenizer, "truncation_side", "right") == "left"
            return text if left else self._texts.head(text, limit, budget)
        try:
            self._texts.count(text, replace(budget, context_tokens=self.context_tokens))
        except PromptTooLong as error:
            raise InputTooLong(self.model, name, error.tokens, self.context_tokens, at_least=not error.exact) from None
        return text

    def _encode(self, texts: Sequence[str], limit: int | None, budget: PromptBudget) -> Iterator[tuple[int, ...]]:
        """Token ids of each text, so many texts at once as make a piece."""
        cut = {} if limit is None else {"truncation": True, "max_length": limit}
        start = 0
        while start < len(texts):
            budget.check()
            end, size = start, 0
            while end < len(texts) and (end == start or size + len(texts[end]) <= PIECE):
                size += len(texts[end])
                end += 1
            encoded = self._tokenizer(list(texts[start:end]), add_special_tokens=True, **cut)
            yield from (tuple(ids) for ids in encoded["input_ids"])
            start = end

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
