"""Scripted models with answers that are worth looking at, for tests of the console in a browser."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import uvicorn

from serving.api import ApiSettings, create_app
from serving.conversation import ToolCall
from serving.engines.scripted import ScriptedAnswer, ScriptedEngine
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from serving.types import Delta, GenerateRequest

RECIPES = ("moa-lite", "moa", "vote", "debate", "rank", "plan", "auto")
TEAM: dict[str, str | list[str]] = {
    "proposers": ["tiny-qwen", "tiny-llama", "tiny-mixtral"],
    "aggregator": "tiny-qwen",
    "solo": "tiny-qwen",
    "judge": "tiny-mixtral",
}
PROPOSALS = {
    "tiny-qwen": "Sunlight is made of all colours. Air molecules scatter short waves far more than long ones: about as"
    " the fourth power of the frequency. Blue light is therefore bent out of the beam in every direction.",
    "tiny-llama": "Because of Rayleigh scattering. The gas in the atmosphere is much smaller than the wavelength of"
    " light, so blue, at 450 nm, is scattered more than four times as strongly as red, at 650 nm.",
    "tiny-mixtral": "The sky is blue since air scatters blue light. Violet is scattered more still, but the sun sends"
    " less of it, some is absorbed high up, and our eyes see it less well.",
}
ANSWER = """The sky is blue because **air scatters short waves more strongly** than long ones.

| colour | wavelength | scattered, relative to red |
|---|---|---|
| red | 650 nm | 1.0 |
| green | 530 nm | 2.3 |
| blue | 450 nm | 4.4 |

1. Molecules are much smaller than the wavelength, so *Rayleigh's law* holds: `I ~ 1 / wavelength^4`.
2. Blue light reaches us from every direction; red goes straight on.
3. Violet is scattered more still, but the sun sends less of it and our eyes see it less well.

At sunset the path through the air is long, and little blue is left.
"""


class Script:
    """Three engines whose "proposals" and "answer" a test can hold after their first `held_after` pieces."""

    def __init__(self) -> None:
        self._gates = {"proposals": threading.Event(), "answer": threading.Event()}
        self.release()
        self.held_after = 8
        self.answer = ANSWER  # of the aggregator, and of a model that is asked alone
        self.thoughts = ""  # of every agent that thinks
        self.calls: tuple[ToolCall, ...] = ()  # of the aggregator
        self.engines = {name: self._engine(name) for name in PROPOSALS}

    def hold(self, part: str) -> None:
        """Stop "proposals" or "answer" in the middle."""
        self._gates[part].clear()

    def release(self, *parts: str) -> None:
        """Let `parts` continue, by default all."""
        for part in parts or self._gates:
            self._gates[part].set()

    def _engine(self, name: str) -> ScriptedEngine:
        def answer(request: GenerateRequest) -> ScriptedAnswer:
            read = "".join(message.content for message in request.messages)
            advised = any(proposal[:30] in read for proposal in PROPOSALS.values())
            text = self.answer if advised or request.moa.trace else PROPOSALS[name]
            return ScriptedAnswer(text, self.thoughts, self.calls if advised else ())

        async def paced(request: GenerateRequest, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
            part = "proposals" if request.request_id.rpartition("-")[0].endswith("-1") else "answer"
            count = 0
            async with aclosing(stream):
                async for delta in stream:
                    yield delta
                    count += 1
                    if count == self.held_after and not self._gates[part].is_set():
                        await asyncio.to_thread(self._gates[part].wait)

        pace = {"tiny-qwen": 0.004, "tiny-llama": 0.005, "tiny-mixtral": 0.006}[name]
        return ScriptedEngine(name, answer, ttft_s=0.02, itl_s=pace, intercept=paced, context_tokens=32_768)


@contextmanager
def console(script: Script, **settings: Any) -> Iterator[str]:
    """A server over the script's engines on a free port; its address. Nothing is held any more at its end."""
    orchestrator = Orchestrator(script.engines, load_recipes(RECIPES, TEAM))
    app = create_app(orchestrator.engines, orchestrator.cards({"tiny-llama": "knows words"}), ApiSettings(**settings))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        script.release()
        server.should_exit = True
        thread.join()
