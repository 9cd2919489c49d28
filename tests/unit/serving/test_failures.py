"""Exceptions of libraries: what callers and logs have of them."""

import ast
import asyncio
import logging
import re
from pathlib import Path

import pytest

from serving.errors import EngineFailed, Overloaded
from serving.failures import engine_failure, engine_failures, log_exception, said
from tests.support.exception_texts import Tree, findings, read
from tests.support.paths import ROOT

SECRET = "sk-failures-secret"


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_a_log_entry_has_the_traceback_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    error = raised(ValueError(f"Illegal header value b'Bearer {SECRET}\\n'"))
    log_exception(logging.getLogger("x"), error, "call %d of '%s' failed", 3, "m")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "call 3 of 'm' failed\nTraceback" in caplog.text
    assert "ValueError: Illegal header value" in caplog.text
    assert SECRET not in caplog.text


def test_nothing_is_made_for_a_level_that_is_off(caplog: pytest.LogCaptureFixture) -> None:
    log_exception(logging.getLogger("x"), ValueError("a"), "b", level=logging.DEBUG)
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n lines.  "), "two lines"),
        (ValueError(f"Bearer {SECRET} is wrong"), "Bearer [redacted] is wrong"),
        (ValueError("a", "b"), "('a', 'b')"),
        (FileNotFoundError(2, "No such file", "x.json"), "[Errno 2] No such file: 'x.json'"),
        ("a text.", "a text"),
        (ValueError("x" * 600), "x" * 500 + "…"),
    ],
)
def test_what_a_library_says_to_its_caller_is_one_line_without_secrets(error: BaseException | str, line: str) -> None:
    assert said(error) == line


def test_a_part_can_be_left_out() -> None:
    assert said(ValueError("[12:00] a.cc:3: no"), without=re.compile(r"\[[\d:]+\] \S+ ")) == "no"


def test_an_engines_exceptions_are_its_failures(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EngineFailed) as caught, engine_failures("m"):
        raise RecursionError(f"deep in {SECRET}")
    assert caught.value.args == ("m", "unexpected RecursionError; the server's log has the details")
    assert "the engine of 'm' failed\nTraceback" in caplog.text
    own = Overloaded("Full.")
    with pytest.raises(Overloaded) as same, engine_failures("m"):
        raise own
    assert same.value is own
    assert engine_failure("m", own) is own


async def test_what_ends_a_task_passes() -> None:
    for end in (GeneratorExit, KeyboardInterrupt):
        with pytest.raises(end), engine_failures("m"):
            raise end

    async def call() -> None:
        with engine_failures("m"):
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await call()


async def test_work_of_an_engine_that_was_cancelled_is_its_failure() -> None:
    """Nobody cancelled the call: a recipe goes on without the model."""
    work = asyncio.create_task(asyncio.Event().wait())
    work.cancel()
    with pytest.raises(EngineFailed) as caught, engine_failures("m"):
        await work
    assert caught.value.args == ("m", "unexpected CancelledError; the server's log has the details")


def test_no_text_of_a_foreign_exception_is_in_a_message_or_a_log() -> None:
    # The worker is a program of its own; what it writes goes through `said` in the process that started it.
    without = (ROOT / "serving" / "failures.py", ROOT / "deployments" / "model" / "grammar_worker.py")
    tree = read([ROOT / "serving", ROOT / "deployments"], without=without)
    assert len(tree.files) > 150
    assert not list(findings(tree))


@pytest.mark.parametrize(
    "line",
    [
        "raise Own(f'no: {error}') from None",
        "raise Own(str(error)) from error",
        "raise Own(repr(error))",
        "raise Own('no %s' % error)",
        "raise Own('no {}'.format(error))",
        "raise Own(error.args[0])",
        "log.warning('no: %s', error)",
        "log.error('no', exc_info=error)",
        "log.error('no', exc_info=True)",
        "log.exception('no')",
        "text = error",
        "return [error]",
        "print(traceback.format_exc())",
    ],
)
def test_the_search_finds(line: str) -> None:
    assert list(findings(_tree(line)))


@pytest.mark.parametrize(
    "line",
    [
        "raise Own(type(error).__name__) from error",
        "raise Own(said(error)) from None",
        "raise Own(error.strerror)",
        "raise error",
        "return error if isinstance(error, Own) else None",
        "log_exception(log, error, 'no')",
        "return str(error) if isinstance(error, Own) else ''",
        "return translated(error)",
        "return task.exception()",
    ],
)
def test_the_search_leaves_alone(line: str) -> None:
    assert not list(findings(_tree(line)))


def _tree(line: str) -> Tree:
    source = f"""
class Own(Exception):
    pass

def translated(error: BaseException) -> Own:
    raise error

def f():
    try:
        g()
    except Own as own:
        raise Own(f"{{own}}")
    except (Own, ValueError) as error:
        {line}
"""
    return Tree({Path("f.py"): ast.parse(source)})
