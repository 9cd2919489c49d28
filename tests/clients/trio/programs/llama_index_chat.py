"""llama-index-llms-openai-like: `OpenAILike`."""

from typing import Any, Literal

from common import MAX_REQUESTS, MISSING, MODEL, QUESTION, compute, failure, loops, main
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

TOOL = FunctionTool.from_defaults(compute)


class Answer(BaseModel):
    parity: Literal["even", "odd"]
    certain: bool


def model_of(url: str, model: str = MODEL, **fields: Any) -> Any:
    fields = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 8192, **fields}
    shared: Any = {"temperature": 0, "max_tokens": 128, "max_retries": 0}
    return OpenAILike(model=model, api_base=f"{url}/v1", api_key="none", **shared, **fields)


def usage_of(raw: Any) -> Any:
    usage = raw["usage"] if isinstance(raw, dict) else raw.usage
    return [usage.prompt_tokens, usage.completion_tokens] if usage else None


def chat(url: str) -> Any:
    answer = model_of(url).chat([ChatMessage(QUESTION)])
    return {"text": answer.message.content, "usage": usage_of(answer.raw)}


def stream(url: str) -> Any:
    options = {"stream_options": {"include_usage": True}}
    pieces, usage = [], None
    for chunk in model_of(url, additional_kwargs=options).stream_chat([ChatMessage(QUESTION)]):
        pieces += [chunk.delta] if chunk.delta else []
        usage = usage_of(chunk.raw) or usage
    return {"pieces": pieces, "usage": usage}


def tools(url: str) -> Any:
    def loop(question: str) -> tuple[int, str | None]:
        model = model_of(url, strict=True)  # it sends `strict: false` otherwise, and the trio then misspells names
        history = [ChatMessage(question)]
        calls = 0
        for _ in range(MAX_REQUESTS):
            answer = model.chat_with_tools([TOOL], chat_history=history)
            history.append(answer.message)
            made = model.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
            if not made:
                break
            for call in made:
                calls += 1
                result = str(TOOL.call(**call.tool_kwargs))
                extra = {"tool_call_id": call.tool_id}
                history.append(ChatMessage(result, role="tool", additional_kwargs=extra))
        return calls, answer.message.content

    return loops(loop)


def structured(url: str) -> Any:
    model = model_of(url, should_use_structured_outputs=True)
    return model.as_structured_llm(Answer).chat([ChatMessage(QUESTION)]).raw.model_dump()


def not_found(url: str) -> Any:
    return failure(lambda: model_of(url, MISSING).chat([ChatMessage(QUESTION)]))


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, tools, structured, not_found)})
