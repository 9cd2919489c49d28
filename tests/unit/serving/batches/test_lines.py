"""The check of input files."""

import io
import json
from typing import Any

import pytest

from serving.batches.lines import MAX_ERRORS, Checked, LineRules, check, read

CHAT = "/v1/chat/completions"


def line(custom_id: Any = "a", **fields: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"model": "m"}, **fields}


def checked(content: bytes, **changes: Any) -> Checked:
    rules = LineRules(CHAT, **{"max_lines": 1000, "max_body_bytes": 500, **changes}, check_model=unknown)
    return check(io.BytesIO(content), rules)


def unknown(model: str) -> str | None:
    return None if model in ("m", "n") else "There is no such model."


def dumped(*lines: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"[]", "invalid_json", None),
        (b'{"a": "\xff"}', "invalid_encoding", None),
        ('{"a": 1}'.encode("utf-16"), "invalid_encoding", None),
        (dumped(line(None)), "invalid_custom_id", "custom_id"),
        (dumped(line("")), "invalid_custom_id", "custom_id"),
        (dumped(line(5)), "invalid_custom_id", "custom_id"),
        (dumped(line(method="GET")), "invalid_method", "method"),
        (dumped(line(url="/v1/responses")), "invalid_url", "url"),
        (dumped(line(body=None)), "invalid_body", "body"),
        (dumped(line(body={})), "invalid_model", "body.model"),
        (dumped(line(body={"model": "x"})), "invalid_model", "body.model"),
        (dumped(line(body={"model": "m", "stream": True})), "stream_unsupported", "body.stream"),
        (dumped(line(more=1)), "unknown_field", "more"),
        (dumped(line(body={"model": "m", "text": "x" * 500})), "line_too_long", None),
    ],
)
def test_a_wrong_line_is_named_with_what_to_change(raw: bytes, code: str, param: str | None) -> None:
    [issue] = checked(dumped(line("first")) + raw).issues
    assert (issue.code, issue.param, issue.line) == (code, param, 2)
    assert issue.message.endswith(".")


def test_a_good_file() -> None:
    content = b"\xef\xbb\xbf" + dumped(line("a"), line("b")) + b"\r\n\n" + dumped(line("c")).rstrip(b"\n")
    found = checked(content)
    assert found == Checked(3, "m", ())
    lines = list(read(io.BytesIO(content), {2}, 500))
    assert [(one.number, one.custom_id) for one in lines] == [(1, "a"), (5, "c")]
    assert json.loads(lines[0].body) == {"model": "m"}


def test_several_models_are_none() -> None:
    assert checked(dumped(line("a"), line("b", body={"model": "n"}))) == Checked(2, None, ())


def test_ids_are_unique() -> None:
    [issue] = checked(dumped(line("a"), line("b"), line("a"))).issues
    assert (issue.code, issue.line) == ("duplicate_custom_id", 3)
    assert "line 1" in issue.message


def test_a_long_line_is_not_read_as_several() -> None:
    long = dumped(line("long", body={"model": "m", "text": "x" * 5000}))
    found = checked(long + dumped(line("b")))
    assert (found.total, [issue.line for issue in found.issues]) == (2, [1])


def test_a_file_without_requests_and_one_with_too_many() -> None:
    assert [issue.code for issue in checked(b"\n").issues] == ["empty_file"]
    found = checked(dumped(*(line(str(n)) for n in range(4))), max_lines=3)
    assert [(issue.code, issue.line) for issue in found.issues] == [("too_many_requests", 4)]


def test_further_errors_are_counted() -> None:
    issues = checked(b"{\n" * (MAX_ERRORS + 7)).issues
    assert len(issues) == MAX_ERRORS + 1
    assert issues[-1].message.startswith("7 further lines")
