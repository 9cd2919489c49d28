"""Arms: the models and recipes under comparison, with optional overrides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from evaluation.errors import EvaluationError
from evaluation.yaml_files import read_model
from serving.config import Frozen
from serving.conversation import Effort

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
    """Return one arm per comma-separated model id, without overrides: `moa-lite,tiny-qwen`."""
    return [Arm(name=name.strip(), model=name.strip()) for name in names.split(",") if name.strip()]


def from_file(path: Path) -> list[Arm]:
    """Load arms from a YAML file: a list `arms` of objects with name and model, and further fields of `Arm`.

    Raises:
        EvaluationError: The file cannot be read or does not have that form.
    """
    return list(read_model(path, _ArmsFile).arms)


def checked(arms: Sequence[Arm]) -> list[Arm]:
    """Return `arms` after checking their names.

    Raises:
        EvaluationError: There are no arms, or two have the same name.
    """
    if not arms:
        raise EvaluationError("No arms given: use --recipes moa-lite,tiny-qwen or --arms FILE.yaml.")
    names = [arm.name for arm in arms]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"Duplicate arm names: {', '.join(duplicates)}. Give each arm its own name.")
    return list(arms)
