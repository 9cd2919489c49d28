"""What is compared: a model or recipe, perhaps with parts of it changed for the request."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from evaluation.errors import EvaluationError
from serving.config import Frozen


class Arm(Frozen):
    """A column of every table. `moa` is sent as the request's `moa` object, `sampling` as its top-level fields."""

    name: str = Field(min_length=1)
    model: str = Field(min_length=1)
    moa: dict[str, Any] = {}
    sampling: dict[str, Any] = {}


class _ArmsFile(Frozen):
    arms: tuple[Arm, ...] = Field(min_length=1)


def from_names(names: str) -> list[Arm]:
    """Arms that are plain model ids: `moa-lite,tiny-qwen`."""
    return [Arm(name=name.strip(), model=name.strip()) for name in names.split(",") if name.strip()]


def from_file(path: Path) -> list[Arm]:
    """Arms of a YAML file: a list `arms` of name, model and, where wanted, moa and sampling.

    Raises:
        EvaluationError: the file cannot be read or has a field that is not known.
    """
    try:
        return list(_ArmsFile.model_validate(yaml.safe_load(path.read_text())).arms)
    except OSError as error:
        raise EvaluationError(f"Cannot read the arms '{path}': {error.strerror}.") from error
    except (ValidationError, yaml.YAMLError) as error:
        raise EvaluationError(f"The arms '{path}' are not right: {error}") from error


def checked(arms: Sequence[Arm]) -> list[Arm]:
    """`arms`, none of them twice.

    Raises:
        EvaluationError: none at all, or two of one name.
    """
    if not arms:
        raise EvaluationError("Name what to compare: --recipes moa-lite,tiny-qwen or --arms FILE.yaml.")
    names = [arm.name for arm in arms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"These arms stand twice: {', '.join(twice)}; give each its own name.")
    return list(arms)
