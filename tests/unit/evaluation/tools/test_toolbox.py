"""Calls of tools: their results, and what makes a call invalid."""

import asyncio
from typing import Any

import pytest

from evaluation.datasets.tools import ToolRow
from evaluation.rows import CallRow
from evaluation.tools.toolbox import Call, Toolbox
from tests.support.loops import TOOL_ROW, function


def opposite(word: str, times: int = 1) -> Any:
    """A tool of a user's own; a list for several times."""
    found = {"hot": "cold"}[word]
    return found if times == 1 else [found] * times


async def slow_opposite(word: str) -> str:
    await asyncio.sleep(0)
    return opposite(word)


def box(**changes: Any) -> Toolbox:
    tools = ToolRow.model_validate({**TOOL_ROW, **changes}).item(1).tools
    assert tools is not None
    return tools


def own(name: str) -> Toolbox:
    backend = {"kind": "python", "function": f"{__name__}:{name}"}
    return box(tools=[function("opposite", "word")], backends={"opposite": backend})


async def result(tools: Toolbox, name: str, arguments: str) -> str:
    done = await tools.run(Call("1", name, arguments))
    assert done.fault is None
    return done.result


@pytest.mark.parametrize(
    ("name", "arguments", "given"),
    [
        ("compute", '{"expression": "3817 * 246"}', "938982"),
        ("compute", '{"expression": 42}', "42"),
        ("compute", '{"expression": "1 / 0"}', "error: division by zero"),
        ("find", '{"topic": "River of Loso"}', "Polco"),
        ("find", '{"topic": "  rivér of LOSO. "}', "Polco"),
        ("find", '{"topic": "river of Sofa"}', "not found"),
        ("play", '{"song": "x"}', "error: 'play' is not available"),
    ],
)
async def test_a_valid_call_has_the_result_of_its_backend(name: str, arguments: str, given: str) -> None:
    assert await result(box(), name, arguments) == given


@pytest.mark.parametrize(
    ("name", "arguments", "fault", "said"),
    [
        ("compute", '{"expression": "1', "json", "not a JSON object"),
        ("compute", '["1"]', "json", "not a JSON object"),
        ("compute", '{"expression": NaN}', "json", "not a JSON object"),
        ("compute", "[" * 100_000, "json", "not a JSON object"),
        ("sum", '{"expression": "1"}', "tool", "there is no tool 'sum'; the tools are: compute, find, play"),
        ("compute", '{"expr": "1"}', "parameter", "the parameter 'expression' is missing"),
        ("compute", "", "parameter", "the parameter 'expression' is missing"),
        ("play", "{}", "parameter", "the parameter 'song' is missing"),
    ],
)
async def test_an_invalid_call_is_answered_with_its_fault(name: str, arguments: str, fault: Any, said: str) -> None:
    done = await box().run(Call("1", name, arguments))
    assert done == CallRow(name=name, arguments=arguments, fault=fault, result=done.result)
    assert done.result.startswith("error: ")
    assert said in done.result


async def test_a_backend_needs_its_parameter_though_the_schema_does_not() -> None:
    lenient = {"type": "function", "function": {"name": "compute"}}
    tools = box(tools=[lenient], backends={"compute": TOOL_ROW["backends"]["compute"]})
    assert (await tools.run(Call("1", "compute", "{}"))).fault == "parameter"


@pytest.mark.parametrize("name", ["opposite", "slow_opposite"])
async def test_functions_of_a_users_own_are_called_with_the_arguments(name: str) -> None:
    assert await result(own(name), "opposite", '{"word": "hot"}') == "cold"


async def test_a_functions_other_results_are_json_and_its_errors_are_results() -> None:
    assert await result(own("opposite"), "opposite", '{"word": "hot", "times": 2}') == '["cold", "cold"]'
    assert await result(own("opposite"), "opposite", '{"word": "red"}') == "error: KeyError: 'red'"
    assert (await result(own("opposite"), "opposite", '{"word": "hot", "speed": 1}')).startswith("error: TypeError")
