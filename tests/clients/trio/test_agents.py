"""The coding agents themselves, without a person: each calls the tool of an MCP server and answers with its result.

The models are scripted: what the agents write around a question is beyond the trio, whose own loops with shorter bodies
are in tests/e2e/test_coding_agents.py. The agents' own instructions are replaced by a sentence.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.install_clients import folder_of
from serving.api import ApiSettings, create_app
from serving.orchestrator import Orchestrator
from serving.recipes import load_recipes
from tests.clients.trio.conftest import ENVIRONMENT, PROGRAM_S
from tests.clients.trio.programs.common import TOOL_QUESTIONS
from tests.clients.trio.registry import require
from tests.support.api import running
from tests.support.loops import caller

CALCULATOR = Path(__file__).parent / "programs" / "calculator_mcp.py"
INSTRUCTIONS = "You are an assistant."
CODEX_CONFIG = """
model = "moa-lite"
model_provider = "moa"
model_instructions_file = "{instructions}"
model_context_window = 8192
model_reasoning_effort = "none"
include_apps_instructions = false
include_environment_context = false
include_permissions_instructions = false
web_search = "disabled"

[model_providers.moa]
name = "moa"
base_url = "{url}/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

[agents]
enabled = false

[features]
goals = false
shell_tool = false

[analytics]
enabled = false

[mcp_servers.calculator]
command = "{python}"
args = ["{calculator}"]
default_tools_approval_mode = "approve"
"""


def run(home: Path, command: list[str], **environment: str) -> str:
    """Output of a command whose home and work folder are empty."""
    (home / "work").mkdir(exist_ok=True)
    done = subprocess.run(
        command,
        cwd=home / "work",
        env={**ENVIRONMENT, "HOME": str(home), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


async def check(url: str, ask: Callable[[str, str], tuple[int, str]]) -> None:
    """`ask` gets the answer of `moa-lite` at `url` to a question, by one call of the tool."""
    question, answer = next(iter(TOOL_QUESTIONS.items()))
    calls, text = await asyncio.to_thread(ask, url, question)  # the server is in this thread
    assert calls == 1
    assert text.endswith(answer)  # Codex writes the time before a result


@pytest.fixture
async def scripted_url() -> AsyncIterator[str]:
    """URL of a server with scripted models, without `/v1`."""
    team = {"proposers": ["a", "b", "c"], "aggregator": "a", "solo": "a", "judge": "a"}
    orchestrator = Orchestrator({name: caller(name) for name in team["proposers"]}, load_recipes(["moa-lite"], team))
    async with running(create_app(orchestrator.engines, orchestrator.cards(), ApiSettings())) as url:
        yield url


async def test_claude_code(scripted_url: str, tmp_path: Path) -> None:
    require("agents")
    program = str(folder_of("agents") / ".bin" / "claude")
    servers = tmp_path / "servers.json"
    calculator = {"type": "stdio", "command": sys.executable, "args": [str(CALCULATOR)]}
    servers.write_text(json.dumps({"mcpServers": {"calculator": calculator}}))

    def ask(url: str, question: str) -> tuple[int, str]:
        printed = run(
            tmp_path,
            [
                *(program, "-p", question, "--output-format", "stream-json", "--verbose"),
                *("--system-prompt", INSTRUCTIONS, "--tools", "", "--mcp-config", str(servers), "--strict-mcp-config"),
                *("--allowedTools", "mcp__calculator__compute"),
            ],
            ANTHROPIC_BASE_URL=url,
            ANTHROPIC_API_KEY="none",
            ANTHROPIC_MODEL="moa-lite",
            CLAUDE_CODE_MAX_OUTPUT_TOKENS="512",
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
            ENABLE_TOOL_SEARCH="false",
            MAX_THINKING_TOKENS="0",
        )
        events = [json.loads(line) for line in printed.splitlines()]
        blocks = [block for event in events if event["type"] == "assistant" for block in event["message"]["content"]]
        last = events[-1]
        assert (last["type"], last["is_error"]) == ("result", False), last
        assert last["usage"]["output_tokens"] > 0
        return sum(block["type"] == "tool_use" for block in blocks), last["result"]

    await check(scripted_url, ask)


async def test_codex(scripted_url: str, tmp_path: Path) -> None:
    require("agents")
    program = str(folder_of("agents") / ".bin" / "codex")
    instructions = tmp_path / "instructions.md"
    instructions.write_text(INSTRUCTIONS)
    folder = tmp_path / ".codex"
    folder.mkdir()
    paths = {"instructions": instructions, "python": sys.executable, "calculator": CALCULATOR}
    (folder / "config.toml").write_text(CODEX_CONFIG.format(url=scripted_url, **paths))

    def ask(url: str, question: str) -> tuple[int, str]:
        printed = run(tmp_path, [program, "exec", "--skip-git-repo-check", "--json", question])
        events: list[Any] = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        done = [event["item"] for event in events if event["type"] == "item.completed"]
        calls = [item for item in done if item["type"] == "mcp_tool_call" and item["status"] == "completed"]
        texts = [item["text"] for item in done if item["type"] == "agent_message"]
        assert events[-1]["type"] == "turn.completed", events[-1]
        assert events[-1]["usage"]["output_tokens"] > 0
        return len(calls), texts[-1] if texts else ""

    await check(scripted_url, ask)
