"""HTTP client of the commands that ask a running server."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from loadtest.errors import LoadError
from loadtest.traffic.options import checked_host

T = TypeVar("T")
TIMEOUT_S = 600.0
KEY = "LOADTEST_API_KEY"


def ask_server(address: str, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """Run `work` with a client of the server at `address`; the API key is read from LOADTEST_API_KEY.

    Raises:
        LoadError: the address is none, the server does not answer, or `work` raised it.
    """
    key = os.environ.get(KEY, "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def run() -> T:
        async with httpx.AsyncClient(
            base_url=checked_host(address), headers=headers, timeout=TIMEOUT_S, trust_env=False
        ) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except httpx.HTTPError as error:
        raise LoadError(f"{address} does not answer ({type(error).__name__}); start the server.") from None
