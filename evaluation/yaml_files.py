"""YAML files of the evaluation's commands."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from evaluation.errors import EvaluationError
from serving.errors import ConfigError
from serving.validation import first_issue
from serving.yaml_file import read_yaml

Model = TypeVar("Model", bound=BaseModel)


def read_model(path: Path, model: type[Model]) -> Model:
    """Read `model` from a YAML file. Raises `EvaluationError` if the file cannot be read or does not have that form."""
    try:
        return model.model_validate(read_yaml(path))
    except ConfigError as error:
        raise EvaluationError(str(error)) from None
    except ValidationError as error:
        raise EvaluationError(f"{path}: {first_issue(error, whole='the file').sentence}") from None
