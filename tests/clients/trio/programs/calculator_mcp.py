"""MCP server over standard input and output with one tool, `compute`: the tool of the coding agents' tests."""

import json
import sys
from typing import Any

from common import PARAMETERS, TOOL_DESCRIPTION, TOOL_NAME, compute


def result(method: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Result of a request; None: there is no such method."""
    if method == "initialize":
        server = {"name": "calculator", "version": "1"}
        return {"protocolVersion": parameters["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
    if method == "tools/list":
        return {"tools": [{"name": TOOL_NAME, "description": TOOL_DESCRIPTION, "inputSchema": PARAMETERS}]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": compute(parameters["arguments"]["expression"])}]}
    return None


def main() -> None:
    """Answer requests, one a line, until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:  # a notification
            continue
        answer = result(message["method"], message.get("params", {}))
        body = {"error": {"code": -32601, "message": "unknown method"}} if answer is None else {"result": answer}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **body}), flush=True)


if __name__ == "__main__":
    main()
