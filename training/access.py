"""Access to the server that generates."""

from dataclasses import dataclass
from typing import Any

from evaluation.client import key_in
from training.branching import Upstream
from training.client import TracingClient


@dataclass(frozen=True, slots=True)
class Access:
    """The server that generates."""

    url: str | None = None  # None: one is started for each iteration
    api_key_env: str = "MOA_API_KEY"
    timeout_s: float = 600.0  # of an answer
    transport: Any = None  # replaces the network in tests

    def client(self, url: str) -> TracingClient:
        """A client of the server at `url`."""
        key = key_in(self.api_key_env)
        return TracingClient(url, api_key=key, timeout_s=self.timeout_s, transport=self.transport)

    def upstream(self, url: str) -> Upstream:
        """The models of the server with the root `url`, without `/v1`."""
        return Upstream(url, self.api_key_env, self.timeout_s, self.transport)
