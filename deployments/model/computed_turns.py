"""Tokens of answers that called tools, so that a prefill of what is computed already is skipped."""

from array import array
from collections import OrderedDict
from collections.abc import Sequence

MAX_TURNS = 64  # four bytes per token


class ComputedTurns:
    """Prompt and answer of each session's last call of tools, as token ids; the oldest go first."""

    def __init__(self, max_turns: int = MAX_TURNS) -> None:
        """Keep the turns of `max_turns` sessions."""
        self._max_turns = max_turns
        self._turns: OrderedDict[str, array[int]] = OrderedDict()

    def put(self, session: str, token_ids: Sequence[int]) -> None:
        """Keep a prompt with its answer."""
        self._turns.pop(session, None)
        # The last token was sampled and not read by the engine.
        self._turns[session] = array("i", token_ids[:-1])
        while len(self._turns) > self._max_turns:
            self._turns.popitem(last=False)

    def cover(self, session: str | None, token_ids: Sequence[int]) -> bool:
        """True if the session's last turn begins with `token_ids`."""
        turn = None if session is None else self._turns.get(session)
        return turn is not None and turn[: len(token_ids)] == array("i", token_ids)
