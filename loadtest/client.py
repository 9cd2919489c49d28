"""Chat completions over Locust's HTTP client, read line by line."""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

from gevent import Timeout
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, FastHttpSession

from loadtest.results.exchange_builder import ExchangeBuilder
from loadtest.results.recorder import Recorder
from loadtest.target import Target
from loadtest.traffic.lengths import Lengths
from loadtest.traffic.options import Options
from loadtest.traffic.prompts import Conversation

PATH = "/v1/chat/completions"


class ChatClient:
    """Client of one user. Every request, failed or not, is recorded as exactly one exchange."""

    def __init__(self, http: FastHttpSession, target: Target, options: Options, recorder: Recorder) -> None:
        self.http, self.target, self.options, self.recorder = http, target, options, recorder

    def ask(
        self,
        scenario: str,
        conversation: Conversation,
        lengths: Lengths,
        rng: random.Random,
        planned_s: float | None = None,
    ) -> str | None:
        """Ask the next question of the conversation; return the text of the answer, or `None` if it failed."""
        streamed = scenario != "chat"
        conversation.ask(self.target.tokens.text(lengths.prompt, rng), lengths.prompt)
        body = json.dumps(self._body(conversation, lengths.answer, streamed))
        builder = ExchangeBuilder(scenario, self.target.model, streamed, time.perf_counter(), planned_s)
        self.recorder.opened()
        try:
            self._send(builder, body)
        except BaseException:  # the greenlet is killed at the end of the run
            builder.fail("cut off by the end of the run")
            raise
        finally:
            exchange = builder.build(time.perf_counter(), self.recorder.started)
            self.recorder.closed(exchange)
        if exchange.error is not None:
            return None
        text = "".join(builder.text)
        conversation.hear(text, exchange.answer_tokens or lengths.answer)
        return text

    def _send(self, builder: ExchangeBuilder, body: str) -> None:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **self.target.headers}
        with self.http.post(
            PATH, data=body, headers=headers, name=builder.scenario, stream=True, catch_response=True
        ) as response:
            received = 0
            try:
                if (error := getattr(response, "error", None)) is not None and not response.status_code:
                    raise error
                builder.status = response.status_code
                if builder.streamed and response.status_code == 200:
                    for line in _lines(response):
                        received += len(line)
                        builder.feed(line, time.perf_counter())
                else:
                    content = response.content or b""
                    received = len(content)
                    builder.add_whole(response.status_code, content)
            except FAILURE_EXCEPTIONS as error:
                late = isinstance(error, TimeoutError | Timeout)
                builder.fail("timeout" if late else f"connection: {type(error).__name__}")
            now = time.perf_counter()
            error_kind = builder.build(now, self.recorder.started).error
            response.request_meta["response_time"] = (now - builder.sent) * 1000
            response.request_meta["response_length"] = received
            if error_kind is None:
                response.success()
            else:
                response.failure(error_kind)

    def _body(self, conversation: Conversation, answer_tokens: int, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.target.model,
            "messages": conversation.messages,
            "max_tokens": answer_tokens,
            "stream": streamed,
        }
        if streamed:
            body["stream_options"] = {"include_usage": True}
        if not self.options.natural:
            body["ignore_eos"] = True
        if self.options.temperature is not None:
            body["temperature"] = self.options.temperature
        if self.target.recipe:
            body["moa"] = {"trace": True}
        return body


def _lines(response: Any) -> Iterator[bytes]:
    """Yield lines as they arrive; Locust's own `iter_content` waits until a block is full."""
    stream = response._response
    while line := stream.readline(b"\n"):
        yield line
