"""Arguments of calls as JSON."""

import pytest

from deployments.model.tool_texts import MAX_VALUES, argument_object


@pytest.mark.parametrize(
    ("arguments", "read"),
    [('{"a": [1]}', {"a": [1]}), ("", {}), (" ", {}), ("{", "{"), ('{"a": "\\ud800"}', '{"a": "\\ud800"}')],
)
def test_arguments_are_an_object_or_the_models_own_text(arguments: str, read: object) -> None:
    assert argument_object(arguments) == read


def test_arguments_of_too_many_values_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    most = '{"a":[' + "[]," * (MAX_VALUES - 4) + "[]]}"
    assert argument_object(most) == {"a": [[]] * (MAX_VALUES - 3)}
    monkeypatch.setattr("json.loads", lambda _: pytest.fail("parsed"))
    more = '{"a":[' + "[]," * (MAX_VALUES - 3) + "[]]}"
    assert argument_object(more) == more
    assert argument_object('{"a":[' + '"\ud800",' * MAX_VALUES + "1]}").startswith('{"a"')
