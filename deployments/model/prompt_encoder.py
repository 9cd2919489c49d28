"""Token ids of rendered prompts: the template's control strings are control tokens, those of messages ordinary text."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tokenizers import AddedToken, Tokenizer

from deployments.model.control_strings import CLOSE, OPEN, ControlStringEscaper, StringMatcher
from deployments.model.prompt_budget import PromptBudget
from deployments.model.text_encoder import PIECE, TextEncoder, fast_encode, last_word_end, text_encoder
from deployments.model.token_lengths import token_lengths

SAMPLE = "A <b>first</b> text,  with 12 blanks.\n\nNaïve: 日本 👍"


class PromptEncoder:
    """Encoder of one tokenizer's prompts, in which an escaper marked control strings.

    Without such strings, the ids are the tokenizer's own. With them, the prompt is encoded by a copy of the tokenizer
    whose control tokens have names that nobody knows, and those of the template are given these names.
    """

    def __init__(self, tokenizer: Any, escaper: ControlStringEscaper, piece: int = PIECE) -> None:
        """Encode with `tokenizer`; `piece`: characters that are encoded at once."""
        self._escaper = escaper
        self._control = StringMatcher(escaper.tokens)
        lengths = token_lengths(tokenizer)
        self._own = text_encoder(own_encode(tokenizer), lengths, piece)
        self._renamed: TextEncoder | None = None
        if getattr(tokenizer, "backend_tokenizer", None) is not None:
            prefix = f"{OPEN}{secrets.token_hex(8)}"
            self._names = [f"{prefix}{number}{CLOSE}" for number in range(len(escaper.tokens))]
            names = dict(zip(escaper.tokens, self._names, strict=True))
            self._renamed = text_encoder(renamed_encode(tokenizer, names), lengths, piece)

    def encode(self, text: str, budget: PromptBudget | None = None) -> tuple[int, ...]:
        """Token ids of `text`.

        Raises:
            PromptTooLong: there are more than the budget allows.
            PromptAbandoned: nobody waits for them.
        """
        budget = budget or PromptBudget()
        if OPEN not in text:
            return tuple(self._own.encode(text, budget))
        self._own.check(self._escaper.plain(text), budget)  # names are longer than tokens
        if self._renamed is not None:
            return tuple(self._renamed.encode(self._with_names(text), budget, checked=True))
        ids: list[int] = []
        for part in self._broken(text):
            ids.extend(self._own.encode(part, budget))
            budget.check_length(len(ids), exact=False)
        return tuple(ids)

    def check(self, texts: Iterable[str], budget: PromptBudget) -> None:
        """Raise `PromptTooLong` if a prompt with these `texts` has too many characters; nothing is encoded."""
        self._own.check("".join(texts), budget)

    def _with_names(self, text: str) -> str:
        """`text` with the template's control strings under their new names, and those of messages as they were."""
        parts: list[str] = []
        for piece, escaped in self._escaper.split(text):
            done = 0
            for index, start, end in () if escaped else self._control.find(piece):
                parts += [piece[done:start], self._names[index]]
                done = end
            parts.append(piece[done:])
        return "".join(parts)

    def _broken(self, text: str) -> Iterator[str]:
        """Parts of `text` in which only the template's control strings are whole, for a tokenizer without a copy."""
        run = ""
        for piece, escaped in self._escaper.split(text):
            done = 0
            for _, start, end in () if escaped else self._control.find(piece):
                yield from self._harmless(run + piece[done:start])
                yield piece[start:end]
                run, done = "", end
            run += piece[done:]
        yield from self._harmless(run)

    def _harmless(self, text: str) -> list[str]:
        """Parts of `text` without a control string: each one found is cut behind its first character."""
        parts = [text] if text else []
        for _ in range(max(map(len, self._control.strings), default=0)):  # strings may overlap
            cut = []
            for part in parts:
                bounds = [0, *(start + 1 for _, start, _ in self._control.find(part)), len(part)]
                cut += [part[start:end] for start, end in pairwise(bounds) if start < end]
            if len(cut) == len(parts):
                break
            parts = cut
        return parts


def own_encode(tokenizer: Any) -> Callable[[str], Sequence[int]]:
    """Encoder of `tokenizer` for texts alone, without tokens around them; it releases the GIL if it can."""

    def encode(text: str) -> Sequence[int]:
        ids: Sequence[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.truncation is not None or backend.padding is not None:
        return encode
    fast = fast_encode(backend)
    return fast if list(fast(SAMPLE)) == list(encode(SAMPLE)) else encode


def renamed_encode(tokenizer: Any, names: Mapping[str, str]) -> Callable[[str], Sequence[int]]:
    """Encoder of a copy of a fast `tokenizer`, its model shared, whose added tokens are found by their `names`.

    Added tokens without another name keep theirs. Whoever changes the tokenizer itself does not change the copy.
    """
    backend: Tokenizer = tokenizer.backend_tokenizer
    renamed = Tokenizer(backend.model)
    if backend.normalizer is not None:
        renamed.normalizer = backend.normalizer
    if backend.pre_tokenizer is not None:
        renamed.pre_tokenizer = backend.pre_tokenizer
    vocabulary = backend.get_vocab(with_added_tokens=False)
    fill = max(vocabulary.values(), default=0) + 1 - len(vocabulary)  # new ids must be none of the model's
    renamed.add_tokens([AddedToken(f"{OPEN}{secrets.token_hex(8)}{CLOSE}") for _ in range(fill)])
    added: dict[int, AddedToken] = tokenizer.added_tokens_decoder  # a copy each time
    named = {token_id: names.get(str(token), str(token)) for token_id, token in added.items()}
    renamed.add_tokens([_named(added[token_id], name) for token_id, name in named.items()])
    own_ids = {renamed.token_to_id(name): token_id for token_id, name in named.items()}
    encode = fast_encode(renamed)

    def encode_with_own_ids(text: str) -> Sequence[int]:
        return [own_ids.get(one, one) for one in encode(text)]

    return encode_with_own_ids


def _named(token: AddedToken, name: str) -> AddedToken:
    return AddedToken(
        name,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=token.special,
    )


def stable_end(text: str) -> int:
    """Length of the beginning of `text` whose tokens stay the same, whatever text follows; it ends behind a word."""
    return last_word_end(text, 0, len(text)) or 0
