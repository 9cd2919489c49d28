"""Parameters of decoding beyond the common sampling parameters: what vLLM has, and few other engines."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Decoding:
    """Rules for single tokens and for the text that is made of them. Ids are those of the model's own vocabulary."""

    logit_bias: tuple[tuple[int, float], ...] = ()  # token id, and what is added to its logit: -100 to 100
    allowed_token_ids: tuple[int, ...] = ()  # the only tokens that may be generated; (): all
    stop_token_ids: tuple[int, ...] = ()  # tokens that end the answer, in addition to the model's own
    bad_words: tuple[str, ...] = ()  # texts that are not generated
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    include_stop_str_in_output: bool = False  # the answer ends with the stop string that ended it

    @property
    def fields(self) -> dict[str, Any]:
        """The parameters that differ from their defaults, by name."""
        return {
            name: value for name in self.__slots__ if (value := getattr(self, name)) != getattr(PLAIN_DECODING, name)
        }

    @property
    def token_id_field(self) -> str | None:
        """Name of the first parameter with token ids, which mean other tokens in another model; None: there is none."""
        return next((name for name in TOKEN_ID_FIELDS if getattr(self, name)), None)


SEEDS = 2**62  # engines add the numbers of choices and agents to a seed, which stays within 64 bits


def plain_seed(seed: int) -> int:
    """Seed with one meaning for every engine: from 0 on, since some take -1 for none. Small ones keep their value."""
    return seed % SEEDS


TOKEN_ID_FIELDS = ("logit_bias", "allowed_token_ids", "stop_token_ids")
PLAIN_DECODING = Decoding()
