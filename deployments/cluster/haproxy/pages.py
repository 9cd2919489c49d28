"""Error answers of HAProxy itself, as errors of the API."""

import json
from typing import NamedTuple

CALLER, SERVER = "invalid_request_error", "server_error"


class Page(NamedTuple):
    """One error answer. `status` is the status that is sent, whatever HAProxy's own is."""

    status: int
    phrase: str
    type: str
    code: str
    message: str
    retry: bool = False  # with a retry-after header of 1 s

    @property
    def body(self) -> str:
        """The error as JSON, in the API's shape."""
        error = {"message": self.message, "type": self.type, "param": None, "code": self.code}
        return json.dumps({"error": error}, separators=(",", ":"))

    @property
    def headers(self) -> dict[str, str]:
        """Headers without those of the body's length."""
        return {"content-type": "application/json", **({"retry-after": "1"} if self.retry else {})}

    def response(self) -> str:
        """The whole answer, as a file of HAProxy's `errorfile` has it."""
        headers = {**self.headers, "content-length": str(len(self.body.encode()))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} {self.phrase}\r\n{head}\r\n{self.body}"


UNAVAILABLE = Page(
    503, "Service Unavailable", SERVER, "engine_unavailable", "No replica can answer at the moment; try again.", True
)
STARTING = Page(
    503, "Service Unavailable", SERVER, "engine_unavailable", "The server is starting or recovering; try again.", True
)
TOO_MANY = Page(
    429,
    "Too Many Requests",
    "rate_limit_error",
    "overloaded",
    "Too many connections from this address; close some, or try again later.",
    True,
)
LARGE_HEADERS = Page(
    431,
    "Request Header Fields Too Large",
    CALLER,
    "invalid_request",
    "The headers are too large; send fewer or shorter.",
)
NO_METHOD = Page(405, "Method Not Allowed", CALLER, "method_not_allowed", "Use GET, HEAD, POST or OPTIONS.")
NO_SESSION = Page(400, "Bad Request", CALLER, "invalid_request", "Send the header x-session-id once, and in UTF-8.")
# By HAProxy's own status. Of the errors of an orchestrator, a lost one (502) can be asked again, as none (503).
BY_STATUS = {
    400: Page(
        400,
        "Bad Request",
        CALLER,
        "invalid_request",
        "The request line or a header is invalid, or the headers are too large; send fewer or shorter headers.",
    ),
    408: Page(408, "Request Timeout", CALLER, "body_timeout", "The request did not arrive in time; send it faster."),
    413: Page(413, "Payload Too Large", CALLER, "body_too_large", "The request body is too large; send a shorter one."),
    500: Page(500, "Internal Server Error", SERVER, "internal_error", "The server failed unexpectedly."),
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: Page(504, "Gateway Timeout", SERVER, "deadline_exceeded", "The answer did not come within the deadline."),
}
# Those of HAProxy's parser of HTTP/1, which reads no error files: their text is compiled in, and bounds ours.
COMPILED = {
    400: Page(400, "Bad Request", CALLER, "invalid_request", "Invalid or too large headers."),
    408: Page(408, "Request Timeout", CALLER, "body_timeout", "The request did not arrive in time."),
    413: Page(413, "Payload Too Large", CALLER, "body_too_large", "Send a shorter body."),
    500: Page(500, "Internal Error", SERVER, "internal_error", "The server failed."),
    501: Page(501, "Not Implemented", CALLER, "invalid_request", "Transfer-encoding must be chunked."),
}


def compiled(page: Page, size: int) -> bytes | None:
    """The answer with exactly `size` bytes, its body ended by the connection's end; `None` if it is longer.

    Blanks behind the JSON fill it up.
    """
    head = f"HTTP/1.1 {page.status} {page.phrase}\r\ncontent-type:application/json\r\nconnection:close\r\n\r\n"
    text = (head + page.body).encode()
    return None if len(text) > size else text.ljust(size)
