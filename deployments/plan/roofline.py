"""Roofline of a model on its GPUs: the times that bandwidth and arithmetic allow. An estimate, not a measurement.

A forward pass takes the longer of two times: reading weights and key-value cache from the GPUs' memory, and computing
two operations per parameter that a token uses. Left out: attention's own operations (2% of a prompt of 2,000 tokens on
70 billion parameters), communication between GPUs, and queues.
"""

from dataclasses import dataclass

from deployments.model_shape import ModelShape


@dataclass(frozen=True, slots=True)
class Roofline:
    """Times of one replica. The speeds are those of all its GPUs together, as far as vLLM reaches them."""

    shape: ModelShape
    bytes_per_s: float  # read from GPU memory
    flops: float  # operations per second

    @property
    def active_parameters(self) -> int:
        """Parameters that one token uses."""
        return self.shape.active_parameters or self.shape.parameters

    def prefill_s(self, prompt_tokens: float) -> float:
        """Seconds in which the engine computes a prompt of `prompt_tokens` that no cache holds."""
        return self._pass_s(prompt_tokens, self.cache_bytes(prompt_tokens))

    def step_s(self, batch: int, context_tokens: float) -> float:
        """Seconds of a step that writes one token of each of `batch` requests.

        Args:
            batch: requests that are decoded together.
            context_tokens: mean number of tokens that each of them has in the key-value cache.
        """
        return self._pass_s(batch, batch * self.cache_bytes(context_tokens))

    def cache_bytes(self, context_tokens: float) -> float:
        """Size of the keys and values of one request."""
        shape = self.shape
        window_share = min(context_tokens / shape.window_tokens, 1.0) if shape.window_tokens else 0.0
        return shape.kv_bytes_per_token * context_tokens + shape.window_bytes * window_share

    def busy_s(self, prompt_tokens: float, answer_tokens: float, *, batch: int, choices: int = 1) -> float:
        """Seconds of the replica that one call costs if `batch` such answers are always decoded together.

        Args:
            prompt_tokens: length of the prompt, none of it cached.
            answer_tokens: length of the answer.
            batch: answers that are decoded together.
            choices: number of answers to the one prompt.
        """
        prompt_s = 2 * self.active_parameters * prompt_tokens / self.flops
        step_s = self.step_s(batch, prompt_tokens + answer_tokens / 2)
        return prompt_s + choices * answer_tokens * step_s / batch

    def token_s(self, prompt_tokens: int, answer_tokens: int, *, calls: int, choices: int = 1) -> float:
        """Seconds between two tokens of an answer.

        Args:
            prompt_tokens: length of the prompt.
            answer_tokens: length of the answer.
            calls: calls of the same lengths that the replica has in progress, this one included. The prompts of the
                others are computed between its tokens.
            choices: number of answers of all of them together, if a call has several; at least `calls` are counted.
        """
        step_s = self.step_s(max(calls, choices), prompt_tokens + answer_tokens / 2)
        return step_s + (calls - 1) * self.prefill_s(prompt_tokens) / answer_tokens

    def answer_s(self, prompt_tokens: int, answer_tokens: int, *, calls: int = 1) -> tuple[float, float]:
        """Seconds to the first token and to the last one of an answer, without queues. Arguments as of `token_s`."""
        first_s = self.prefill_s(prompt_tokens)
        return first_s, first_s + (answer_tokens - 1) * self.token_s(prompt_tokens, answer_tokens, calls=calls)

    def _pass_s(self, tokens: float, cache_bytes: float) -> float:
        """Seconds of one pass over `tokens` tokens. Of a mixture of experts, few tokens read few experts."""
        read_share = min(tokens * self.active_parameters / self.shape.parameters, 1.0)
        read_s = (self.shape.weight_bytes * read_share + cache_bytes) / self.bytes_per_s
        return max(read_s, tokens * 2 * self.active_parameters / self.flops)
