"""instructor: typed answers in its JSON schema mode and in its tools mode."""

from typing import Any, Literal

import instructor
from common import MISSING, MODEL, QUESTION, failure, main
from openai import OpenAI
from pydantic import BaseModel


class Answer(BaseModel):
    parity: Literal["even", "odd"]
    certain: bool


def ask(url: str, mode: instructor.Mode, model: str = MODEL) -> Any:
    client: Any = instructor.from_openai(OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0), mode=mode)
    messages = [{"role": "user", "content": QUESTION}]
    fields = {"temperature": 0, "max_tokens": 128, "max_retries": 0}
    return client.chat.completions.create(model=model, messages=messages, response_model=Answer, **fields)


def structured(url: str) -> Any:
    return ask(url, instructor.Mode.JSON_SCHEMA).model_dump()


def structured_tools(url: str) -> Any:
    """The same by a tool that the model must call."""
    return ask(url, instructor.Mode.TOOLS).model_dump()


def not_found(url: str) -> Any:
    return failure(lambda: ask(url, instructor.Mode.JSON_SCHEMA, MISSING))


if __name__ == "__main__":
    main({f.__name__: f for f in (structured, structured_tools, not_found)})
