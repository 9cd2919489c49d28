"""Process that compiles grammars: run by `grammar_compiler`, as a file of its own that imports neither Ray nor vLLM.

It loads xgrammar and the model's vocabulary once, and forks a process for each grammar, which can be killed: xgrammar
itself cannot be stopped. Lines of JSON on standard input: the settings, `{"vocabulary", "compact", "threads"}`; then
jobs, `{"id", "kind", "text", "cpu_s", "mask_s"}`, and `{"cancel": id}`. On standard output `{"ready": true}`, and for
each job `{"id", "error"}`: null, or what is wrong with the grammar; or `{"id", "died"}`.
"""

import argparse
import json
import os
import random
import resource
import selectors
import signal
import time
from typing import Any

MEMORY_BYTES = 2 * 2**30  # more than this, a grammar is given up
WALKS, STEPS = 2, 24  # tokens tried for the time that each takes


def compiled(compiler: Any, kind: str, text: str, *, compact: bool) -> Any:
    """Compile a rule as vLLM's engine does. Raises `RuntimeError` or `ValueError` if it is none."""
    if kind == "json":
        return compiler.compile_json_schema(text, any_whitespace=not compact)
    if kind == "regex":
        return compiler.compile_regex(text)
    if kind == "grammar":
        return compiler.compile_grammar(text)
    tag = json.loads(text)
    if "structures" not in tag:
        return compiler.compile_structural_tag(text)
    import xgrammar

    items = [
        xgrammar.StructuralTagItem(begin=one["begin"], schema=json.dumps(one["schema"]), end=one["end"])
        for one in tag["structures"]
    ]
    return compiler.compile_structural_tag(items, tag["triggers"])


def slowest_mask_s(grammar: Any, vocabulary_size: int) -> float:
    """CPU time that the engine needs at most for the tokens of a few random texts of the grammar, per token."""
    import xgrammar

    drawn = random.Random(0)
    mask = xgrammar.allocate_token_bitmask(1, vocabulary_size)
    slowest = 0.0
    for _ in range(WALKS):
        matcher = xgrammar.GrammarMatcher(grammar)
        for _ in range(STEPS):
            started = time.thread_time()
            matcher.fill_next_token_bitmask(mask, 0)
            slowest = max(slowest, time.thread_time() - started)
            words = mask[0].tolist()
            possible = [place for place, word in enumerate(words) if word]
            if not possible:
                break
            word = drawn.choice(possible)
            bits = [bit for bit in range(32) if words[word] >> bit & 1]
            if not matcher.accept_token(word * 32 + drawn.choice(bits)) or matcher.is_terminated():
                break
    return slowest


def _problem(vocabulary: Any, settings: Any, job: Any) -> str | None:
    import xgrammar

    compiler = xgrammar.GrammarCompiler(vocabulary, max_threads=settings["threads"], cache_enabled=False)
    try:
        grammar = compiled(compiler, job["kind"], job["text"], compact=settings["compact"])
    except (RuntimeError, ValueError, TypeError, KeyError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"[:2000]
    if slowest_mask_s(grammar, vocabulary.vocab_size) > job["mask_s"]:
        return "SlowTokens"
    return None


def _work(vocabulary: Any, settings: Any, job: Any, out: int) -> None:
    """Compile in a process of its own, which ends here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    cpu_s = int(job["cpu_s"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    with open("/proc/self/statm", encoding="ascii") as sizes:
        memory = int(sizes.read().split()[0]) * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # xgrammar's warnings, and what it says when it aborts
    os.write(out, json.dumps({"id": job["id"], "error": _problem(vocabulary, settings, job)}).encode())
    os._exit(0)


def main() -> None:
    """Serve jobs until standard input ends."""
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing else writes between the answers
    lines = bytearray()

    def say(answer: object) -> None:
        os.write(answers, json.dumps(answer).encode() + b"\n")

    def read() -> list[Any] | None:
        """Whole messages that have arrived; None: there will be no more."""
        data = source.read(2**20)
        if not data:
            return None
        lines.extend(data)
        *whole, rest = lines.split(b"\n") if b"\n" in data else [lines]
        lines[:] = rest
        return [json.loads(line) for line in whole]

    waiting: list[Any] = []
    while not waiting:
        if (arrived := read()) is None:
            return
        waiting += arrived
    settings = waiting.pop(0)
    import xgrammar  # once, before the processes of grammars are forked; takes seconds

    vocabulary = xgrammar.TokenizerInfo.deserialize_json(settings["vocabulary"])
    say({"ready": True})

    jobs: dict[int, tuple[int, int, bytearray]] = {}  # of each pipe: the job's id, its process, what it has said
    chosen = selectors.DefaultSelector()
    chosen.register(source, selectors.EVENT_READ)

    def begin(job: Any) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reading)
            try:
                _work(vocabulary, settings, job, writing)
            finally:
                os._exit(1)
        os.close(writing)
        jobs[reading] = (job["id"], pid, bytearray())
        chosen.register(reading, selectors.EVENT_READ)

    def end(pipe: int) -> None:
        number, pid, said = jobs.pop(pipe)
        chosen.unregister(pipe)
        os.close(pipe)
        os.waitpid(pid, 0)
        try:
            say(json.loads(said))
        except ValueError:
            say({"id": number, "died": True})

    def handle(message: Any) -> None:
        if "cancel" not in message:
            begin(message)
            return
        for number, pid, _ in jobs.values():
            if number == message["cancel"]:
                os.kill(pid, signal.SIGKILL)  # its pipe ends with it

    try:
        for message in waiting:
            handle(message)
        while True:
            for key, _ in chosen.select():
                if key.fileobj is source:
                    if (arrived := read()) is None:
                        return
                    for message in arrived:
                        handle(message)
                elif data := os.read(key.fd, 2**16):
                    jobs[key.fd][2].extend(data)
                else:
                    end(key.fd)
    finally:
        for _, pid, _ in jobs.values():
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m deployments.model.grammar_worker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C: the replica says when this ends
    main()
