"""Token ids of the prompts used last."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable

ID_BYTES = 40  # a number and its place in a tuple


class PromptCache:
    """Prompts by their keys, the oldest of which go first; threads may share it."""

    def __init__(self, max_prompts: int, max_bytes: int) -> None:
        """Keep `max_prompts`, of `max_bytes` with their keys."""
        self._max_prompts, self._max_bytes = max_prompts, max_bytes
        self._prompts: OrderedDict[Hashable, tuple[tuple[int, ...], int]] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._prompts)

    def get(self, key: Hashable) -> tuple[int, ...] | None:
        """Ids of the prompt with this key; None if it is not kept."""
        with self._lock:
            found = self._prompts.get(key)
            if found is None:
                return None
            self._prompts.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, ids: tuple[int, ...], key_bytes: int) -> None:
        """Keep `ids`; `key_bytes`: size of the key. A prompt larger than the whole cache is not kept."""
        size = len(ids) * ID_BYTES + key_bytes
        if size > self._max_bytes:
            return
        with self._lock:
            self._drop(key)
            self._prompts[key] = ids, size
            self.size_bytes += size
            while len(self._prompts) > self._max_prompts or self.size_bytes > self._max_bytes:
                self._drop(next(iter(self._prompts)))

    def _drop(self, key: Hashable) -> None:
        found = self._prompts.pop(key, None)
        if found is not None:
            self.size_bytes -= found[1]


def text_bytes(*texts: str) -> int:
    """Size of texts in memory."""
    return sum(map(sys.getsizeof, texts))
