"""Contenders of the benchmark, each started alone with the same engine options (a profile's `engine_kwargs`)."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.cluster.environment import DEFAULTS
from deployments.config import Profile
from deployments.model_spec import ModelSpec
from loadtest.bench.processes import HOST, server
from loadtest.errors import LoadError
from loadtest.target import find_target
from serving.ports import free_port
from serving.recipes import load_recipes

READY_S = 400.0
NAMES: Mapping[str, str] = {
    "vllm": "vLLM servers with client-side MoA",
    "stock": "stock ray.serve.llm",
    "moa": "this server",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """A running contender. `hosts` maps each model id and recipe id to its server."""

    name: str
    hosts: Mapping[str, str]


@asynccontextmanager
async def vllm_servers(profile: Profile, logs: Path) -> AsyncGenerator[Contender, None]:
    """Run one vLLM OpenAI server per model."""
    ports = {model.id: free_port() for model in profile.models}
    hosts = {model: f"http://{HOST}:{port}" for model, port in ports.items()}
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.TaskGroup() as starting:
                for model in profile.models:
                    env = plain_environment({**profile.env, **model.env})
                    log, ready = logs / f"vllm-{model.id}.log", f"{hosts[model.id]}/health"
                    running = server(vllm_command(model, ports[model.id]), env, log, ready, READY_S)
                    starting.create_task(stack.enter_async_context(running))
        except* LoadError as errors:
            raise errors.exceptions[0] from None
        yield Contender("vllm", hosts)


@asynccontextmanager
async def stock_server(profile: Profile, model: ModelSpec, logs: Path) -> AsyncGenerator[Contender, None]:
    """Run stock `ray.serve.llm` with one model."""
    port = free_port()
    host = f"http://{HOST}:{port}"
    given = {
        "id": model.id,
        "source": str(model.path or model.source),
        "accelerator": model.accelerator,
        "engine_kwargs": dict(model.engine_kwargs),
        "env": {**profile.env, **model.env},
    }
    command = [sys.executable, "-m", "loadtest.bench.stock", str(port), json.dumps(given)]
    async with server(command, plain_environment(profile.env), logs / "stock.log", f"{host}/v1/models", READY_S):
        await _answering(host, model.id)  # its ingress is ready long before its engine
        yield Contender("stock", {model.id: host})


@asynccontextmanager
async def moa_server(profile: Profile, path: Path, logs: Path) -> AsyncGenerator[Contender, None]:
    """Run this server with the profile in the file `path`."""
    port = free_port()
    host = f"http://{HOST}:{port}"
    command = [script("serve"), "run", "deployments:moa_app", f"profile={path}", f"port={port}"]
    ids = served_ids(profile)  # may raise: before a server is started
    async with server(command, plain_environment({}), logs / "moa.log", f"{host}/ready", READY_S):
        await _answering(host, profile.models[0].id)
        yield Contender("moa", dict.fromkeys(ids, host))


def served_ids(profile: Profile) -> list[str]:
    """List the ids of all models and recipes.

    Raises:
        ConfigError: a recipe of the profile is invalid.
    """
    return [*(model.id for model in profile.models), *profile.parents, *load_recipes(profile.recipes, profile.team)]


async def _answering(host: str, model: str) -> None:
    """Wait until the server answers a request. Raises `LoadError` after `READY_S`."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + READY_S
    while True:
        try:
            await asyncio.to_thread(find_target, host, model)
            return
        except LoadError:
            if loop.time() > give_up:
                raise
            await asyncio.sleep(1)


def plain_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Copy this process's environment without the defaults of `deployments`, and with `more`."""
    inherited = {name: value for name, value in os.environ.items() if DEFAULTS.get(name) != value}
    return {**inherited, "VLLM_NO_USAGE_STATS": "1", "RAY_USAGE_STATS_ENABLED": "0", **more}


def vllm_command(model: ModelSpec, port: int) -> list[str]:
    """Build the command of vLLM's OpenAI server, with every engine option of the profile as a flag."""
    flags: list[str] = []
    for name, value in model.engine_kwargs.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", value if isinstance(value, str) else json.dumps(value)]
    source = str(model.path or model.source)
    module = "vllm.entrypoints.openai.api_server"
    served = ["--model", source, "--served-model-name", model.id, "--host", HOST, "--port", str(port)]
    return [sys.executable, "-m", module, *served, "--disable-log-stats", *flags]


def script(name: str) -> str:
    """Return the path of a command in this Python environment, independent of PATH."""
    return str(Path(sys.executable).with_name(name))
