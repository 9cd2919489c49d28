"""Configuration models and the YAML files they are read from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from serving.errors import ConfigError
from serving.suggestions import did_you_mean
from serving.yaml_file import read_yaml


@dataclass(frozen=True, slots=True)
class YamlDirectory:
    """Loads a YAML mapping by name from a folder of the package, or by path."""

    folder: Path  # of NAME.yaml files
    noun: str  # what each file describes, for errors
    required_keys: tuple[str, str]

    @property
    def names(self) -> list[str]:
        """Names of the files in the folder, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def read(self, source: str) -> dict[str, Any]:
        """Load the mapping named `source`, or the file at that path if it ends in `.yaml` or `.yml`.

        Raises:
            ConfigError: the file does not exist or does not hold a mapping; see `read_yaml` for others.
        """
        path = Path(source) if source.endswith((".yaml", ".yml")) else self.folder / f"{source}.yaml"
        if not path.is_file() and source.endswith((".yaml", ".yml")):
            raise ConfigError(f"There is no file '{source}' for a {self.noun}; paths are relative to {Path.cwd()}.")
        if not path.is_file():
            known = ", ".join(self.names)
            raise ConfigError(
                f"There is no {self.noun} '{source}'; {did_you_mean(source, self.names)}choose one of {known}, or give"
                " the path of a YAML file."
            )
        raw = read_yaml(path)
        if not isinstance(raw, dict):
            first, second = self.required_keys
            raise ConfigError(f"{path} must hold a mapping with '{first}' and '{second}'.")
        return raw


class Frozen(BaseModel):
    """Base of every configuration and record read from a file: immutable, unknown fields forbidden.

    `renamed` maps the former name of a field to its current one; a former name is refused with the current one.
    """

    # Input may be a key: pydantic would show it in the text of an error.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    renamed: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _former_names_are_refused(cls, given: Any) -> Any:
        for former in cls.renamed.keys() & given.keys() if isinstance(given, Mapping) else ():
            raise PydanticCustomError(
                "renamed", "'{former}' is now called '{current}'", {"former": former, "current": cls.renamed[former]}
            )
        return given


class FiniteNumbers(Frozen):
    """Base of settings that a request may change: numbers are finite. Types are strict where a field says so."""

    model_config = ConfigDict(allow_inf_nan=False)
