"""HAProxy's configuration: what Ray Serve writes, with our corrections, as functions from text to text."""

import re
from typing import NamedTuple

from .pages import BY_STATUS, LARGE_HEADERS, NO_METHOD, NO_SESSION, STARTING, TOO_MANY, UNAVAILABLE, Page
from .sessions import server_names, with_sessions
from .settings import SMALLEST_BUFFER, Settings

FRONTEND = "frontend http_frontend"
METRICS = "frontend prometheus"
RETRIED = "conn-failure empty-response"  # connection failed, or closed before the first byte of an answer
RETRIES = 1  # by `option redispatch 1`, which Ray sets, at another orchestrator than the lost one
LONE_RETRIES = 2  # of a lone orchestrator: one finds it gone, one waits at Serve's proxy until it is back
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
ALLOW = "GET, HEAD, POST, OPTIONS"
REQUEST_ID = "^[A-Za-z0-9._:-]{1,128}$"  # as in serving/api/exchange.py
# Headers by which a caller would steer Serve itself, which reads `_` for `-` in most; the API knows sessions only as
# `x-session-id`.
OF_SERVE = (
    "^(serve[-_]multiplexed[-_]model[-_]id|x_session[-_]id|x-session_id"
    "|x-request-timeout-seconds|x-request-disconnect-disabled)$"
)
# Of W3C's trace context. Serve takes any value as a text, and gives it on with each call of a model.
TRACEPARENT = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
TRACESTATE = "^[\\x20-\\x7e]{1,512}$"
MARGIN_S = 30  # beyond the deadline of a request, which the orchestrator enforces


class Files(NamedTuple):
    """Paths that the configuration names."""

    pages: str  # folder of the error pages
    socket: str  # HAProxy's admin socket; ours answers on the path that Ray wrote


def edited(text: str, settings: Settings, files: Files, restarts: int = 0) -> str:
    """Ray's configuration with all our corrections. `restarts`: of this node's HAProxy, for the metric."""
    parts = sections(text)
    known = any(name.startswith("backend http-") for name, _ in parts)
    deadline_s = number_in(text, "hard-stop-after")
    defaults = dict(parts).get("defaults", [])
    ours = repeated(defaults, settings) and not has(defaults, "retries")
    changed: list[str] = []
    for head, lines in parts:
        if head == "global":
            lines = with_socket(with_buffer(lines, settings), files)
        elif head == "defaults":
            lines = with_error_pages(with_retries(with_timeouts(lines, settings, deadline_s), settings), files)
        elif head == FRONTEND:
            lines = with_limits(with_host(lines, settings), settings)
        elif head == METRICS:
            lines = with_restarts(lines, restarts)
        elif head == "backend default_backend":
            lines = with_unknown_paths(lines, known)
        elif head.startswith("backend http-"):
            lines = with_sessions(head.split()[1], lines) if settings.sessions else lines
            lines = with_lone_retries(lines) if ours else lines
            lines = [*SERVE_ANSWERS, *with_fresh_connections(with_quick_notice(lines))]
        if settings.loopback:
            lines = on_loopback(lines, settings)
        changed += [head, *lines] if head else lines
    if settings.connections_per_client and any(head == FRONTEND for head, _ in parts):
        changed += ["backend moa_clients", "    stick-table type ipv6 size 100k expire 1m store conn_cur"]
    return "\n".join(changed) + "\n"


def sections(text: str) -> list[tuple[str, list[str]]]:
    """Sections as (head, lines); what stands before the first has the head ''."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        if re.match(r"[a-z]", line):
            parts.append((line.rstrip(), []))
        else:
            parts[-1][1].append(line)
    return parts


def number_in(text: str, keyword: str) -> int | None:
    """The number behind a keyword; `None`: the configuration does not have it."""
    found = re.search(rf"^ *{re.escape(keyword)} +([0-9]+)", text, re.MULTILINE)
    return int(found[1]) if found else None


def admin_path(text: str) -> str | None:
    """Path of the admin socket in Ray's configuration; `None`: it has none."""
    lines = [line.split() for line in text.splitlines()]
    return next((words[2] for words in lines if words[:2] == ["stats", "socket"]), None)


def has(lines: list[str], keyword: str) -> bool:
    """True if a line begins with the keyword."""
    return any(line.split()[: len(keyword.split())] == keyword.split() for line in lines)


def rule(page: Page, condition: str = "") -> str:
    """Rule that answers with a page."""
    headers = "".join(f" hdr {name} {value}" for name, value in page.headers.items() if name != "content-type")
    ending = f" if {condition}" if condition else ""
    answer = f"status {page.status} content-type application/json{headers} string '{page.body}'"
    return f"    http-request return {answer}{ending}"


# The API answers in JSON: plain text is Serve's own, of a replica or proxy without routes, or that lost its request.
SERVE_ANSWERS = [
    rule(page, f"{{ status {status} }} {{ res.hdr(content-type) -m beg text/plain }}").replace(
        "-request", "-response", 1
    )
    for status, page in ((404, STARTING), (500, UNAVAILABLE), (503, UNAVAILABLE))
]


def with_socket(lines: list[str], files: Files) -> list[str]:
    """The admin socket at a path of our own, since the supervisor answers at Ray's."""
    return [re.sub(r"^( *stats socket )\S+", lambda found: found[1] + files.socket, line) for line in lines]


def with_buffer(lines: list[str], settings: Settings) -> list[str]:
    """Buffers that a request to be asked again fits into."""
    size = max(number_in("\n".join(lines), "tune.bufsize") or SMALLEST_BUFFER, settings.retry_bytes)
    return [*(line for line in lines if not has([line], "tune.bufsize")), f"    tune.bufsize {size}"]


def with_timeouts(lines: list[str], settings: Settings, deadline_s: int | None) -> list[str]:
    """An end for requests whose headers do not arrive, and for answers beyond each deadline."""
    added = [f"    timeout http-request {settings.header_timeout_s}s"]
    if deadline_s is not None and not has(lines, "timeout server"):
        added.append(f"    timeout server {deadline_s + MARGIN_S}s")
    return [*(line for line in lines if not has([line], "timeout http-request")), *added]


def repeated(lines: list[str], settings: Settings) -> bool:
    """True if a lost request is to be asked again; the operator's own `retry-on` stays."""
    return settings.retry_bytes > 0 and any(line.split() == ["retry-on", "conn-failure"] for line in lines)


def with_retries(lines: list[str], settings: Settings) -> list[str]:
    """A lost request is asked again once, if no byte of its answer has come."""
    if not repeated(lines, settings):
        return lines
    kept = [line for line in lines if not has([line], "retry-on")]
    added = ["    option http-buffer-request", f"    retry-on {RETRIED}"]
    return [*kept, *added, *([] if has(lines, "retries") else [f"    retries {RETRIES}"])]


def with_lone_retries(lines: list[str]) -> list[str]:
    """A backend of one orchestrator, with a further attempt beside the one that cannot reach it."""
    if len(server_names(lines)) != 1 or not any(line.split()[-1:] == ["backup"] for line in lines):
        return lines
    return [f"    retries {LONE_RETRIES}", *lines]


def with_fresh_connections(lines: list[str]) -> list[str]:
    """A client's first request has a connection of its own to the orchestrator; Ray lets it use any idle one.

    If an idle one was lost, and the repetition as well, HAProxy would close without an answer instead of an error page.
    """
    return [re.sub(r"^( *http-reuse) always\b", r"\1 safe", line) for line in lines]


def with_quick_notice(lines: list[str]) -> list[str]:
    """A server that refuses a connection is down at once; Ray waits for three, which uses up a request's attempts.

    Checks take it back after half a second, if it runs.
    """
    return [re.sub(r"(observe layer4 error-limit) 3\b", r"\1 1", line) for line in lines]


def with_error_pages(lines: list[str], files: Files) -> list[str]:
    """Our pages in place of Ray's one, which is a 500 in plain text, and of HAProxy's own, which are HTML."""
    pages = [f"    errorfile {status} {files.pages}/moa-{status}.http" for status in BY_STATUS]
    return [*(line for line in lines if not has([line], "errorfile")), *pages]


def with_limits(lines: list[str], settings: Settings) -> list[str]:
    """Limits of a client's connections and of what a request's head may be, in front of all other rules."""
    rules = [
        # Large buffers would let headers in that no server behind reads.
        rule(LARGE_HEADERS, f"{{ req.hdrs,length gt {SMALLEST_BUFFER} }}"),
        rule(NO_METHOD, f"!{{ method {' '.join(METHODS)} }}"),
        # Of the whole server, and no path of the API.
        f'    http-request return status 204 hdr allow "{ALLOW}" if {{ method OPTIONS }} {{ url -m str * }}',
        # Serve sends any id back; the API and its log know no other than these.
        f"    http-request del-header x-request-id unless {{ req.fhdr(x-request-id) -m reg '{REQUEST_ID}' }}"
        " { req.fhdr_cnt(x-request-id) eq 1 }",
        f"    http-request del-header '{OF_SERVE}' -m reg",
        # A replica of Serve fails with one that is not UTF-8, as the last two would be if they came as they are.
        rule(NO_SESSION, "{ req.fhdr_cnt(x-session-id) gt 0 } !{ req.fhdr(x-session-id),json(utf8) -m found }"),
        rule(NO_SESSION, "{ req.fhdr_cnt(x-session-id) gt 1 }"),
        *(
            f"    http-request del-header {name} unless {{ req.fhdr({name}) -m reg '{form}' }}"
            f" {{ req.fhdr_cnt({name}) eq 1 }}"
            for name, form in (("traceparent", TRACEPARENT), ("tracestate", TRACESTATE))
        ),
        # The deadline of a request that is asked again began with the first time. RECEIVED of serving/api/exchange.py.
        "    http-request set-header x-moa-received-ms %[date(0,ms)]",
    ]
    if limit := settings.connections_per_client:
        rules = [
            "    tcp-request connection track-sc0 src table moa_clients",
            f"    tcp-request connection reject if {{ sc0_conn_cur(moa_clients) gt {2 * limit} }}",
            rule(TOO_MANY, f"{{ sc0_conn_cur(moa_clients) gt {limit} }}"),
            *rules,
        ]
    return [*rules, *lines]


def with_host(lines: list[str], settings: Settings) -> list[str]:
    """The API's port on the address of the settings; Serve's own, of its replicas' ports, is another one."""
    if not settings.host:
        return lines
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return [re.sub(r"^( *bind )\S+:(\d+)", lambda found: f"{found[1]}{host}:{found[2]}", line) for line in lines]


def with_restarts(lines: list[str], restarts: int) -> list[str]:
    """The page /restarts beside /metrics: HAProxy's own metrics begin at zero with each of its processes."""
    page = (
        "# HELP moa_haproxy_restarts_total Restarts of HAProxy on this node after it had died.\\n"
        f"# TYPE moa_haproxy_restarts_total counter\\nmoa_haproxy_restarts_total {restarts}\\n"
    )
    return [
        '    http-request return status 200 content-type "text/plain; version=0.0.4"'
        f' string "{page}" if {{ path /restarts }}',
        *lines,
    ]


def with_unknown_paths(lines: list[str], known: bool) -> list[str]:
    """404 in the API's shape; 503 while no application is known, as after the loss of Serve's controller."""
    if not known:
        answer = rule(STARTING)
    else:
        ways = (
            "the API is under /v1 (POST /v1/chat/completions), the console is /console, and /docs shows all endpoints."
        )
        message = f"The path '%[path,json(utf8s)]' does not exist; {ways}"
        page = Page(404, "Not Found", "invalid_request_error", "not_found", message)
        answer = f'    http-request return status 404 content-type application/json lf-string "{quoted(page.body)}"'
    return [answer if has([line], "http-request return status 404") else line for line in lines]


def quoted(text: str) -> str:
    """Text within HAProxy's double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def on_loopback(lines: list[str], settings: Settings) -> list[str]:
    """The metrics and statistics pages on 127.0.0.1."""
    ports = f"{re.escape(settings.metrics_port)}|{re.escape(settings.stats_port)}"
    return [re.sub(rf"^( *bind )\*?:({ports})$", r"\g<1>127.0.0.1:\2", line) for line in lines]
