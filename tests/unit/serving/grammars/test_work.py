"""Work of the checks: it is counted, and grows with the size of a request and not with what its references repeat."""

from typing import Any

import pytest

from serving.conversation import Tool, ToolChoice
from serving.errors import InvalidRequest
from serving.grammars import alternatives, check, references
from serving.grammars.check import check_format, check_tools
from serving.grammars.limits import SchemaLimits
from serving.types import ResponseFormat

SHARED = {"$ref": "#/$defs/e"}


def shared(values: int, entries: list[dict[str, Any]], required: list[str]) -> dict[str, Any]:
    """A schema whose entries have properties of the same listed values."""
    options = [{"type": "object", "properties": one, "required": required} for one in entries]
    return {"$defs": {"e": {"enum": [str(i) for i in range(values)]}}, "oneOf": options}


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    calls: list[Any] = []
    real = getattr(module, name)

    def one(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, one)
    return calls


def refusal(schema: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_format(ResponseFormat("json_schema", schema=schema, path="s"), SchemaLimits())
    return caught.value


def test_values_behind_references_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = counted(monkeypatch, alternatives, "_json")
    same = refusal(shared(300, [dict.fromkeys(("a", "b", "c"), SHARED)] * 40, []))
    assert same.param == "s.oneOf[1]"
    assert len(read) == 300
    read.clear()
    apart = shared(300, [{"a": SHARED, "b": SHARED, "z": {"const": i}} for i in range(40)], ["z"])
    check_format(ResponseFormat("json_schema", schema=apart), SchemaLimits())
    assert len(read) == 300 + 40


def test_an_entry_behind_references_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = counted(monkeypatch, alternatives, "_json")
    entry = {"type": "object", "properties": {f"p{i}": {"const": i} for i in range(50)}}
    schema = {"$defs": {"o": entry}, "oneOf": [{"$ref": "#/$defs/o"}] * 40}
    assert refusal(schema).param == "s.oneOf[1]"
    assert len(read) == 50


def test_entries_that_one_property_tells_apart_take_one_comparison_each() -> None:
    def used(entries: int) -> int:
        budget = alternatives.Budget()
        schema = shared(10, [{"a": SHARED, "z": {"const": i}} for i in range(entries)], ["z"])
        check.check_held(schema, "s", budget)
        return alternatives.MAX_COMPARISONS - budget.left

    assert used(200) == 400 == 2 * used(100)


def test_values_that_many_entries_may_have_are_told_apart_within_the_limits() -> None:
    for entries in ([{"const": i} for i in range(256)], [{"enum": [i, str(i)]} for i in range(256)]):
        check_format(ResponseFormat("json_schema", schema={"oneOf": entries}), SchemaLimits())


def crossing(entries: int) -> dict[str, Any]:
    """No single property tells the entries apart: each pair is compared."""
    names = [f"p{i}" for i in range(9)]
    values = [{name: {"const": i >> bit & 1} for bit, name in enumerate(names)} for i in range(entries)]
    return shared(1, values, names) | {"$defs": {}}


def test_comparisons_beyond_the_budget_are_refused() -> None:
    schema = crossing(20)
    budget = alternatives.Budget()
    check.check_held(schema, "s", budget)
    used = alternatives.MAX_COMPARISONS - budget.left
    check.check_held(schema, "s", alternatives.Budget(used))
    with pytest.raises(InvalidRequest) as caught:
        check.check_held(schema, "s", alternatives.Budget(used - 1))
    assert caught.value.param == "s.oneOf"
    assert str(caught.value).startswith("Simplify 's.oneOf': telling its entries apart takes too many comparisons")


def test_the_tools_of_a_request_and_the_schemas_of_a_tag_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = counted(monkeypatch, check, "Budget")
    held = counted(monkeypatch, check, "check_held")
    check_tools([Tool(str(i), None, crossing(3), True, f"t[{i}]") for i in range(3)], ToolChoice(), SchemaLimits())
    assert len(budgets) == 1
    assert len({id(args[2]) for args in held}) == 1
    tools = [Tool(str(i), None, crossing(110), True, f"tools[{i}]") for i in range(8)]
    with pytest.raises(InvalidRequest, match=r"'tools\[\d\].oneOf': telling its entries apart takes too many"):
        check_tools(tools, ToolChoice(), SchemaLimits())


def test_all_sizes_are_checked_before_any_keyword(monkeypatch: pytest.MonkeyPatch) -> None:
    held, sized = counted(monkeypatch, check, "check_held"), counted(monkeypatch, check, "check_size")
    limits = SchemaLimits(max_properties=10, tools_factor=2)
    wide = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(8)}}
    with pytest.raises(InvalidRequest) as caught:
        check_tools([Tool(str(i), None, wide, True, f"tools[{i}]") for i in range(100)], ToolChoice(), limits)
    assert str(caught.value) == "Reduce 'tools': it has 24 properties, at most 20 are accepted."
    tag = "[" + ",".join(['{"json_schema":{"properties":{"a":{},"b":{},"c":{},"d":{},"e":{},"f":{}}}}'] * 100) + "]"
    with pytest.raises(InvalidRequest) as tagged:
        check_format(ResponseFormat("structural_tag", rule=tag, path="s"), limits)
    assert str(tagged.value) == "Reduce 's': it has 24 properties, at most 20 are accepted."
    assert not held
    assert len(sized) == 3 + 4  # up to the first that is too much


def test_what_ends_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = counted(monkeypatch, references.References, "place")

    def used(size: int) -> int:
        chain: dict[str, Any] = {f"p{i}": {"$ref": f"#/properties/p{i + 1}"} for i in range(size)}
        chain[f"p{size}"] = {"anyOf": [{"type": "null"}, {"$ref": "#"}]}
        looked.clear()
        schema = {"type": "object", "properties": chain, "required": [*chain]}
        check.check_held(schema, "s", alternatives.Budget())
        return len(looked)

    assert used(80) < 3 * used(40)


@pytest.mark.parametrize("piece", ["[],", '"a",', '{"a":1},'])
def test_a_structural_tag_of_too_many_values_is_not_parsed(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = counted(monkeypatch, check.orjson, "loads")
    rule = '{"type":"structural_tag","a":[' + piece * (4 * 2**20 // len(piece)) + "0]}"
    with pytest.raises(InvalidRequest) as caught:
        check_format(ResponseFormat("structural_tag", rule=rule, path="s"), SchemaLimits())
    assert (str(caught.value), caught.value.param) == ("Reduce 's': at most 131072 bytes of JSON are accepted.", "s")
    assert parsed == []
