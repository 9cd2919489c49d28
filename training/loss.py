"""Loss of texts under a base model: how natural its utterances are (the third term of Optima's reward)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Utterance:
    """Token ids of one text, behind those that precede it."""

    before: tuple[int, ...]  # such as the beginning of an assistant's turn; may be empty
    text: tuple[int, ...]


class BaseModel:
    """A language model that is not trained."""

    def __init__(self, source: str, *, trusted: bool = False) -> None:
        """Load the weights in float32 on a CPU, in their own type on a GPU.

        Args:
            source: folder or Hugging Face id.
            trusted: run the code that comes with the weights.
        """
        gpu = torch.cuda.is_available()
        self._device = torch.device("cuda" if gpu else "cpu")
        dtype = "auto" if gpu else torch.float32
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, trust_remote_code=trusted)
        self._model = model.to(self._device).eval()  # type: ignore[arg-type]

    def losses(
        self,
        utterances: Sequence[Utterance],
        *,
        batch_size: int = 16,
        progress: Callable[[int], None] = lambda count: None,
    ) -> list[float]:
        """Mean negative log-likelihood of each utterance's text, in nats per token, in their order.

        The first token of a text without tokens before it has no likelihood and is left out; a text without any token
        that counts has a loss of 0. Utterances of about equal length share a batch: padding changes no result.
        """
        order = sorted(range(len(utterances)), key=lambda place: len(utterances[place].before + utterances[place].text))
        found = [0.0] * len(utterances)
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            for place, loss in zip(places, self._batch([utterances[place] for place in places]), strict=True):
                found[place] = loss
            progress(len(places))
        return found

    @torch.inference_mode()
    def _batch(self, utterances: Sequence[Utterance]) -> list[float]:
        longest = max(len(one.before) + len(one.text) for one in utterances)
        if longest < 2:
            return [0.0] * len(utterances)
        ids = torch.zeros(len(utterances), longest, dtype=torch.long)  # (batch, tokens), padded at the end
        attended, counted = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, one in enumerate(utterances):
            whole = [*one.before, *one.text]
            ids[row, : len(whole)] = torch.tensor(whole, dtype=torch.long)
            attended[row, : len(whole)] = 1
            counted[row, len(one.before) : len(whole)] = 1
        logits = self._model(input_ids=ids.to(self._device), attention_mask=attended.to(self._device)).logits
        likely = logits[:, :-1].float().log_softmax(-1).cpu()  # (batch, tokens - 1, vocabulary)
        nll = -likely.gather(-1, ids[:, 1:, None]).squeeze(-1)
        mask = counted[:, 1:]
        return [float(value) for value in (nll * mask).sum(1) / mask.sum(1).clamp(min=1)]
