"""langchain-openai: `ChatOpenAI`."""

from typing import Any

from common import ANSWER_SCHEMA, MAX_REQUESTS, MISSING, MODEL, QUESTION, compute, failure, loops, main
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

TOOL = tool(compute)


def model_of(url: str, model: str = MODEL) -> Any:
    fields: Any = {"temperature": 0, "max_tokens": 128, "max_retries": 0}
    return ChatOpenAI(model=model, base_url=f"{url}/v1", api_key="none", stream_usage=True, **fields)


def usage_of(message: AIMessage) -> Any:
    usage = message.usage_metadata
    return [usage["input_tokens"], usage["output_tokens"]] if usage else None


def chat(url: str) -> Any:
    answer = model_of(url).invoke(QUESTION)
    return {"text": answer.content, "usage": usage_of(answer)}


def stream(url: str) -> Any:
    pieces, whole = [], None
    for chunk in model_of(url).stream(QUESTION):
        pieces += [chunk.content] if chunk.content else []
        whole = chunk if whole is None else whole + chunk
    return {"pieces": pieces, "usage": usage_of(whole)}


def tools(url: str) -> Any:
    def loop(question: str) -> tuple[int, str]:
        messages: list[BaseMessage] = [HumanMessage(question)]
        calls = 0
        for _ in range(MAX_REQUESTS):
            answer = model_of(url).bind_tools([TOOL]).invoke(messages)
            messages.append(answer)
            if not answer.tool_calls:
                break
            calls += len(answer.tool_calls)
            messages += [TOOL.invoke(call) for call in answer.tool_calls]
        return calls, str(answer.content)

    return loops(loop)


def structured(url: str) -> Any:
    schema = {"title": "answer", "description": "An answer.", **ANSWER_SCHEMA}
    return model_of(url).with_structured_output(schema, method="json_schema", strict=True).invoke(QUESTION)


def not_found(url: str) -> Any:
    return failure(lambda: model_of(url, MISSING).invoke(QUESTION))


if __name__ == "__main__":
    main({f.__name__: f for f in (chat, stream, tools, structured, not_found)})
