"""Lines of an input file: their check as a whole, and their reading."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import orjson

BOM = b"\xef\xbb\xbf"
FIELDS = frozenset({"custom_id", "method", "url", "body"})
MAX_ID_CHARACTERS = 512
MAX_ERRORS = 100
BLANK = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class LineIssue:
    """A reason to refuse a file, for a caller."""

    code: str
    message: str  # one sentence: what to change
    line: int | None = None  # from 1; None: the whole file
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a file."""

    number: int  # of the line in the file, from 1
    custom_id: str
    body: bytes  # JSON


@dataclass(frozen=True, slots=True)
class Checked:
    """Outcome of the check of a whole file. It is refused if it has `issues`, of which there are `MAX_ERRORS`."""

    total: int
    model: str | None  # of all lines; None: they name several
    issues: tuple[LineIssue, ...]


class Refused(Exception):
    """A line that cannot be used."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


@dataclass(frozen=True, slots=True)
class LineRules:
    """Rules for the lines of one batch.

    Attributes:
        endpoint: path of all requests.
        max_lines: maximum number of requests.
        max_body_bytes: maximum size of one line.
        check_model: returns a sentence if this endpoint cannot answer with the model; may be called often.
    """

    endpoint: str
    max_lines: int
    max_body_bytes: int
    check_model: Callable[[str], str | None]


def check(source: IO[bytes], rules: LineRules) -> Checked:
    """Check a file. Reads all of it: for a thread. Raises `OSError`."""
    issues: list[LineIssue] = []
    more = total = 0
    ids: dict[str, int] = {}
    models: set[str] = set()
    for number, raw in _numbered(source, rules.max_body_bytes):
        total += 1
        if total > rules.max_lines:
            many = f"Split the file: it has more than {rules.max_lines} requests."
            issues = [LineIssue("too_many_requests", many, number), *issues[: MAX_ERRORS - 1]]
            break
        try:
            models.add(_check_line(number, raw, rules, ids))
        except Refused as why:
            if len(issues) < MAX_ERRORS:
                issues.append(LineIssue(why.code, why.message, number, why.param))
            else:
                more += 1
    if not total:
        issues.append(LineIssue("empty_file", "Upload a file with at least one request, one JSON object a line."))
    if more:
        issues.append(LineIssue("too_many_errors", f"{more} further lines have errors, which are not listed."))
    return Checked(total, models.pop() if len(models) == 1 else None, tuple(issues))


def read(source: IO[bytes], done: set[int], max_body_bytes: int) -> Iterator[Line]:
    """Lines of a file that has been checked, without those whose numbers are in `done`. For a thread."""
    for number, raw in _numbered(source, max_body_bytes):
        if number not in done:
            given = orjson.loads(raw)
            yield Line(number, given["custom_id"], orjson.dumps(given["body"]))


def _numbered(source: IO[bytes], max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, by number, cut behind `max_bytes` and one more."""
    number = 0
    begins = True
    while piece := source.readline(max_bytes + 1):
        line = piece
        while not piece.endswith(b"\n") and len(piece) > max_bytes:  # the rest of a long line is read and left out
            piece = source.readline(max_bytes + 1)
        number += 1
        if begins:
            line, begins = line.removeprefix(BOM), False
        if line.strip(BLANK):
            yield number, line


def _check_line(number: int, raw: bytes, rules: LineRules, ids: dict[str, int]) -> str:
    """The model of a line. Raises `Refused`."""
    if len(raw.rstrip(b"\r\n")) > rules.max_body_bytes:
        raise Refused("line_too_long", f"Shorten the line: it has more than {rules.max_body_bytes} bytes.")
    given = _object(raw)
    if unknown := sorted(given.keys() - FIELDS):
        shown = unknown[0][:64]
        raise Refused("unknown_field", f"Remove '{shown}': a line has custom_id, method, url and body.", shown)
    custom_id = given.get("custom_id")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= MAX_ID_CHARACTERS:
        raise Refused(
            "invalid_custom_id",
            f"Set 'custom_id' to a text of 1 to {MAX_ID_CHARACTERS} characters.",
            "custom_id",
        )
    first = ids.setdefault(custom_id, number)
    if first != number:
        raise Refused("duplicate_custom_id", f"Change 'custom_id': the line {first} has the same.", "custom_id")
    if given.get("method") != "POST":
        raise Refused("invalid_method", "Set 'method' to POST.", "method")
    if given.get("url") != rules.endpoint:
        raise Refused("invalid_url", f"Set 'url' to the endpoint of the batch, {rules.endpoint}.", "url")
    body = given.get("body")
    if not isinstance(body, dict):
        raise Refused("invalid_body", "Set 'body' to the JSON object of the request.", "body")
    model = body.get("model")
    if not isinstance(model, str):
        raise Refused("invalid_model", "Set 'body.model' to the id of a model or a recipe.", "body.model")
    if (problem := rules.check_model(model)) is not None:
        raise Refused("invalid_model", problem, "body.model")
    if body.get("stream"):
        raise Refused("stream_unsupported", "Remove 'stream': answers of a batch are whole.", "body.stream")
    return model


def _object(raw: bytes) -> dict[str, Any]:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in raw:
        raise Refused("invalid_encoding", "Save the file in UTF-8.")
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise Refused("invalid_encoding", "Save the file in UTF-8.") from None
        raise Refused(
            "invalid_json", f"Write one JSON object a line: it cannot be parsed at column {error.colno}."
        ) from None
    if not isinstance(given, dict):
        raise Refused("invalid_json", "Write one JSON object a line.")
    return given
