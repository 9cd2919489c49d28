"""Requests of web user interfaces for chat, in the shapes that their public sources give them."""

import json
from typing import Any

import httpx

SYSTEM = {"role": "system", "content": "You are a helpful assistant. Today is Friday."}
OPEN_WEBUI_HEADERS = {"x-openwebui-user-name": "Ada", "x-openwebui-user-role": "user", "x-openwebui-chat-id": "c-1"}
OPEN_WEBUI_TITLE = """### Task:
Generate a concise title of three to five words with an emoji that summarizes the chat history.
### Output:
JSON format: { "title": "your concise title here" }
### Chat History:
<chat_history>
USER: What is 21 + 34?
ASSISTANT: 55
</chat_history>"""


def open_webui_chat(model: str, question: str) -> dict[str, Any]:
    """A chat's second turn: the first answer is in the history, with the thinking that was streamed."""
    return {
        "stream": True,
        "model": model,
        "messages": [
            SYSTEM,
            {"role": "user", "content": "What is 21 + 34?"},
            {"role": "assistant", "content": "55", "reasoning_content": "A sum."},
            {"role": "user", "content": [{"type": "text", "text": question}]},
        ],
        "stream_options": {"include_usage": True},
    }


def open_webui_title(model: str) -> dict[str, Any]:
    """The task that names a chat."""
    messages = [{"role": "user", "content": OPEN_WEBUI_TITLE}]
    return {"model": model, "messages": messages, "stream": False, "max_completion_tokens": 32}


def librechat_chat(model: str, question: str) -> dict[str, Any]:
    """A chat at a custom endpoint, with a preset's instructions and a name of the assistant."""
    return {
        "model": model,
        "temperature": 1,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "user": "65f1c0ffee65f1c0ffee65f1",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{**SYSTEM, "name": "instructions"}, {"role": "user", "content": question}],
    }


def streamed(response: httpx.Response) -> tuple[str, str, dict[str, int]]:
    """Text, thinking and usage of a streamed chat completion, as such an interface reads them."""
    assert response.status_code == 200, response.text
    assert response.text.endswith("data: [DONE]\n\n")
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    text = "".join(delta.get("content") or "" for delta in deltas)
    thinking = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    return text, thinking, chunks[-1]["usage"]
