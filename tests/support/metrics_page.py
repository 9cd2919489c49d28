"""A server's `/metrics` with the metrics that dashboards and alerts use, for a Prometheus in tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

from tests.support.paths import ROOT

LISTED = yaml.safe_load((ROOT / "helm" / "moa" / "files" / "metrics.yaml").read_text())


def metrics_text(exporters: tuple[str, ...] = ("server", "engine", "gpu")) -> str:
    """One series of each listed metric, with a value for each of its labels."""
    lines = []
    for exporter in exporters:
        for name, metric in LISTED[exporter].items():
            lines.append(f"# TYPE {name} {metric['type']}")
            labels = [f'{label}="{LABELS.get(label, label)}"' for label in metric["labels"]]
            if metric["type"] == "histogram":
                lines += [f"{name}_bucket{{{','.join([*labels, bound])}}} 3" for bound in ('le="1.0"', 'le="+Inf"')]
                lines += [f"{name}_sum{{{','.join(labels)}}} 1.5", f"{name}_count{{{','.join(labels)}}} 3"]
            else:
                lines.append(f"{name}{{{','.join(labels)}}} 3")
    return "".join(f"{line}\n" for line in lines)


LABELS = {"outcome": "ok", "role": "proposer", "kind": "recipe", "model": "a-model"}


@contextmanager
def serving(status: int = 200, kind: str = "text/plain; version=0.0.4", text: str | None = None) -> Iterator[str]:
    """URL of a server that answers every GET with `status` and `text` (default: `metrics_text()`)."""
    content = (metrics_text() if text is None else text).encode()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
