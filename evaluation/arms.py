"""Arms: the models and recipes under comparison, with optional overrides."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from evaluation.errors import EvaluationError
from evaluation.yaml_files import read_model
from serving.config import Frozen
from serving.conversation import Effort
from serving.validation import first_issue

OWN_FIELDS = {  # of requests, and why no arm may set them
    "model": "it is the arm's 'model'",
    "messages": "they are the dataset's questions",
    "tools": "they are the dataset's",
    "moa": "it is the arm's 'moa'",
    "stream": "answers are requested whole",
    "stream_options": "answers are requested whole",
    "n": "use --samples",
}
RESERVED = "dataset"  # `judge --baseline dataset`
THINKING_FIELDS = {"reasoning_effort", "chat_template_kwargs"}


class Arm(Frozen):
    """A model or recipe under comparison. `moa` becomes the request's `moa` object, `sampling` its top-level fields.

    `reasoning_effort` and `chat_template_kwargs` are fields of the request, too: with them, one model with and without
    thinking is two arms.
    """

    name: str = Field(min_length=1)
    model: str = Field(min_length=1)
    moa: dict[str, Any] = {}
    sampling: dict[str, Any] = {}
    reasoning_effort: Effort | None = None
    chat_template_kwargs: dict[str, Any] = {}

    @field_validator("name", "model")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable() or text != text.strip():
            raise ValueError("it has control characters, or spaces at an end")
        return text

    @field_validator("moa", "sampling", "chat_template_kwargs")
    @classmethod
    def _json(cls, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError("it has a value that JSON cannot hold, such as .nan or .inf") from error
        return fields

    @model_validator(mode="after")
    def _requests_are_the_evaluation_s(self) -> "Arm":
        for name in OWN_FIELDS:
            if name in self.sampling:
                raise ValueError(f"'sampling' of arm '{self.name}' has '{name}'; remove it: {OWN_FIELDS[name]}")
        if "trace" in self.moa:
            raise ValueError(f"'moa' of arm '{self.name}' has 'trace'; remove it: --no-trace leaves it out for all")
        return self

    @model_validator(mode="after")
    def _sampling_has_no_field_of_its_own(self) -> "Arm":
        if found := sorted(THINKING_FIELDS & self.sampling.keys()):
            raise ValueError(f"'sampling' of arm '{self.name}' has '{found[0]}'; move it out of 'sampling'")
        return self

    @property
    def fields(self) -> dict[str, Any]:
        """Top-level fields of the arm's requests."""
        return {**self.sampling, **self.model_dump(include=THINKING_FIELDS, exclude_defaults=True)}

    @property
    def settings(self) -> dict[str, Any]:
        """The arm's entry in a run's manifest. Fields that older manifests lack are there only if they are set."""
        return self.model_dump(mode="json", exclude=THINKING_FIELDS) | self.model_dump(
            mode="json", include=THINKING_FIELDS, exclude_defaults=True
        )


class _ArmsFile(Frozen):
    arms: tuple[Arm, ...] = Field(min_length=1)


def from_names(names: str) -> list[Arm]:
    """Return one arm per comma-separated model id, without overrides: `moa-lite,tiny-qwen`.

    Raises:
        EvaluationError: An id has control characters.
    """
    try:
        return [Arm(name=name.strip(), model=name.strip()) for name in names.split(",") if name.strip()]
    except ValidationError as error:
        raise EvaluationError(f"--recipes: {first_issue(error, whole='an id').sentence}") from None


def from_file(path: Path) -> list[Arm]:
    """Load arms from a YAML file: a list `arms` of objects with name and model, and further fields of `Arm`.

    Raises:
        EvaluationError: The file cannot be read or does not have that form.
    """
    return list(read_model(path, _ArmsFile).arms)


def checked(arms: Sequence[Arm]) -> list[Arm]:
    """Return `arms` after checking their names.

    Raises:
        EvaluationError: There are no arms, one has a reserved name, or two have the same name.
    """
    if not arms:
        raise EvaluationError("No arms given: use --recipes moa-lite,tiny-qwen or --arms FILE.yaml.")
    names = [arm.name for arm in arms]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"Duplicate arm names: {', '.join(duplicates)}. Give each arm its own name.")
    if RESERVED in names:
        raise EvaluationError(f"Rename the arm '{RESERVED}': a judge's baseline '{RESERVED}' is the dataset's answers.")
    return list(arms)
