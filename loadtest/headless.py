"""Headless load run: starts at once, shows its progress, and ends after its duration."""

import gevent
from locust.env import Environment

from loadtest.load_run import DRAIN_S, LoadRun
from loadtest.locustfile import TeamUser, attach
from loadtest.progress import ProgressLine
from loadtest.results.metrics import Distribution
from loadtest.traffic.options import Options


def run(host: str, options: Options, users: int, spawn_per_s: float, line: ProgressLine) -> LoadRun:
    """Send load to `host` for `options.duration_s`; return the finished run.

    Raises:
        LoadError: the server does not answer, or does not serve the model.
    """
    environment = Environment(user_classes=[TeamUser], host=host, stop_timeout=DRAIN_S, catch_exceptions=False)
    runner = environment.create_local_runner()
    load = LoadRun()
    attach(environment, load)
    load.start(host, options)
    line.say(
        f"{host} serves '{load.target.model}'; {load.target.tokens.per_word:.2f} tokens per word. Loop:"
        f" {options.loop(users)}. Press Ctrl-C to stop early."
    )
    runner.start(1 if options.rate_per_s else users, spawn_rate=spawn_per_s)
    progress = gevent.spawn(_progress, load, line)
    try:
        while load.recorder.elapsed_s < options.duration_s:
            gevent.sleep(min(0.2, max(options.duration_s - load.recorder.elapsed_s, 0.0)))
    except KeyboardInterrupt:
        load.stopped_early = True
        line.say("Stopping early.")
    runner.stop()
    progress.kill()
    line.end()
    runner.quit()
    return load


def _progress(load: LoadRun, line: ProgressLine) -> None:
    while True:
        gevent.sleep(1)
        line.show(progress_line(load))


def progress_line(load: LoadRun) -> str:
    """Format the state of a run in one line."""
    recorder, options = load.recorder, load.options
    exchanges = list(recorder.exchanges)
    failed = sum(exchange.error is not None for exchange in exchanges)
    good = sum(exchange.error is None and options.slo.good(exchange) for exchange in exchanges)
    first = Distribution.of(e.first_answer_s * 1000 for e in exchanges if e.first_answer_s is not None)
    elapsed_s = recorder.elapsed_s
    parts = [
        f"{min(elapsed_s, options.duration_s):4.0f}/{options.duration_s:.0f} s",
        f"{len(exchanges)} ended ({failed} failed)",
        f"{recorder.open} open",
        f"{(len(exchanges) - failed) / elapsed_s:.1f}/s",
    ]
    if first is not None:
        parts.append(f"first answer token p50 {first.p50:.0f} ms, p95 {first.p95:.0f} ms")
    if options.slo.request and exchanges:
        parts.append(f"goodput {good / len(exchanges):.0%}")
    return "  ".join(parts)
