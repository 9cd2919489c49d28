"""Generated prompts of a given length. Their first words differ, so that no prefix cache is hit by accident."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

COMMON = """
a about after again all also an and answer any are as ask at back be because been before book both but by call
can change city clear come could country day did do does each early earth end even every far few find first
follow food for form found four from gave get give go good great group grow had half hand hard has have he help
her here high him his home house how i idea if in into is it just keep kind know land large last late learn left
let life light line list little live long look made make man many mark may me mean men might more most move much
music must my name near need never new next night no not now number of off often old on once one only open or
order other our out over own page paper part people place plain plan play point put question quick read right
river rule run said same saw say school sea second see seem sentence set she short should show side small so
some song soon sound stand start state stay step still story study such sun sure table take talk tell than that
the their them then there these they thing think this those thought three through time to together too took town
tree true try turn two under until up us use very walk want warm was watch water way we week well went were what
wheel when where which while white who whole why will wind with word work world would write year you young
"""
WORDS = COMMON.split()


def words(count: int, rng: random.Random) -> str:
    """Generate `count` words. The first is a random number below a million: prompts differ from the start."""
    return " ".join([str(rng.randrange(1_000_000)), *rng.choices(WORDS, k=max(count - 1, 0))])


@dataclass(frozen=True, slots=True)
class TokenEstimator:
    """Linear estimate of the tokens that a model's tokenizer makes of `words`, measured once per server."""

    per_word: float = 1.3
    fixed: float = 0.0  # of the chat template

    def text(self, tokens: int, rng: random.Random) -> str:
        """Generate a text of about `tokens` tokens, the template included; at least one word."""
        return words(max(1, round((tokens - self.fixed) / self.per_word)), rng)

    @classmethod
    def fitted(cls, tokens_of_words: Mapping[int, int]) -> "TokenEstimator":
        """Fit the line through two measurements: number of words -> prompt tokens."""
        (few, low), (many, high) = sorted(tokens_of_words.items())
        per_word = max((high - low) / (many - few), 0.1)
        return cls(per_word, max(low - per_word * few, 0.0))


@dataclass(slots=True)
class Conversation:
    """Messages of one conversation."""

    messages: list[dict[str, str]] = field(default_factory=list)
    tokens: int = 0  # estimate; answers are counted exactly if the server reports usage

    def ask(self, text: str, tokens: int) -> None:
        """Append a user message."""
        self.messages.append({"role": "user", "content": text})
        self.tokens += tokens

    def hear(self, text: str, tokens: int) -> None:
        """Append the answer."""
        self.messages.append({"role": "assistant", "content": text})
        self.tokens += tokens
