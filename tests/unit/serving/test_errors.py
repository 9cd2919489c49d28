import pickle
import re
from pathlib import Path

import pytest

from scripts.generate_docs import errors_page as page
from serving import errors
from serving.errors import MoaError

EXAMPLES: list[MoaError] = [
    errors.MoaError("Something."),
    errors.InvalidRequest("Change 'x'.", "x"),
    errors.UnsupportedField("tools", "no tools here"),
    errors.ContextTooLong("m", 100, 50, 10),
    errors.InputTooLong("m", "input[3]", 100, 50),
    errors.LimitExceeded("calls", 65, 64),
    errors.Unauthorized(),
    errors.UnknownModel("x", ("a", "b")),
    errors.UnknownObject("batch", "batch_1", "after"),
    errors.UnknownPath("/x"),
    errors.WrongMethod("/x", "GET"),
    errors.SlowBody(30.0),
    errors.BodyTooLarge(1024),
    errors.WrongContentType("content-type", "text/plain", "application/json"),
    errors.Overloaded("Too many.", 2.5),
    errors.AdminKeyRequired(),
    errors.UnknownKey("a"),
    errors.RateLimitExceeded("Too many.", 2.5),
    errors.BudgetExceeded("The key 'a' has too little left", "day", 3600.0),
    errors.UnknownAnswer("chatcmpl-1"),
    errors.StoreRequired("Keys cannot be checked"),
    errors.EngineFailed("m", "it broke"),
    errors.RecipeFailed("r", "its method `run` returned nothing"),
    errors.IncompleteGeneration("m"),
    errors.QuorumNotReached(1, 0, 2, ("a: it broke", "b: it was late")),
    errors.EngineUnavailable("m", "it is starting", 30.0, False),
    errors.StoreRequired("Files and batches are not available"),
    errors.DeadlineExceeded("'m'", 1.5),
    errors.ConfigError("Add the model."),
]


def _tree() -> dict[str, tuple[str | None, int, str]]:
    """Class name to (parent, status, code), as the module's docstring draws them."""
    rows: dict[str, tuple[str | None, int, str]] = {}
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if row := re.match(r"    ([│├└─ ]*)(\w+) +(\d{3})  (\w+)", line):
            depth = len(row[1]) // 4
            rows[row[2]] = (parents[depth - 1] if depth else None, int(row[3]), row[4])
            parents[depth:] = [row[2]]
    return rows


def _classes(parent: type[MoaError]) -> list[type[MoaError]]:
    return [cls for child in parent.__subclasses__() for cls in (child, *_classes(child))]


ALL = [MoaError, *(cls for cls in _classes(MoaError) if cls.__module__ == errors.__name__)]


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {cls.__name__: (None if cls is MoaError else cls.__bases__[0].__name__, cls.status, cls.code) for cls in ALL}
    assert _tree() == real


def test_every_class_has_an_example_here() -> None:
    assert {type(error) for error in EXAMPLES} == set(ALL)


def test_codes_are_distinct() -> None:
    assert len({cls.code for cls in ALL}) == len(ALL)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_crosses_processes_whole(error: MoaError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert (copy.param, copy.retry_after_s, copy.status, copy.code) == (
        error.param,
        error.retry_after_s,
        error.status,
        error.code,
    )


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_one_sentence_in_openais_words(error: MoaError) -> None:
    assert re.fullmatch(r"\S.*\.", str(error))
    assert 400 <= error.status < 600
    assert error.type in {
        *("invalid_request_error", "authentication_error", "permission_error", "rate_limit_error"),
        *("insufficient_quota", "server_error"),
    }
    assert (error.type == "server_error") == (error.status >= 500)


def test_the_page_about_errors_is_current() -> None:
    assert Path("docs/errors.md").read_text() == page()


def test_a_text_that_was_not_counted_to_its_end_has_at_least_so_many_tokens() -> None:
    prompt = pickle.loads(pickle.dumps(errors.ContextTooLong("m", 100, 50, 0, "messages", at_least=True)))
    assert str(prompt).startswith("The prompt has at least 100 tokens, but the context of 'm' holds 50 tokens")
    given = pickle.loads(pickle.dumps(errors.InputTooLong("m", "input", 100, 50, at_least=True)))
    assert str(given).startswith("Shorten 'input': it has at least 100 tokens, but")
    assert prompt.at_least
    assert given.at_least


def test_an_unknown_model_is_answered_by_the_nearest_known_one() -> None:
    known = ("tiny-qwen", "moa", "moa-lite")
    assert str(errors.UnknownModel("moa-lit", known)) == (
        "There is no model 'moa-lit'; did you mean 'moa-lite'? choose one of: tiny-qwen, moa, moa-lite."
    )
    assert "did you mean" not in str(errors.UnknownModel("gpt-4", known))
    assert "did you mean" not in str(errors.UnknownModel("x" * 256, known))
