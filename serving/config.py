"""YAML files that have names: ours stand in a folder of the package, anybody's are given by path."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from serving.errors import ConfigError


@dataclass(frozen=True, slots=True)
class YamlDirectory:
    """`folder` holds `NAME.yaml` files, each one a `noun`; `needs` are the keys that none can be without."""

    folder: Path
    noun: str
    needs: tuple[str, str]

    @property
    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def read(self, source: str) -> dict[str, Any]:
        """The mapping called `source`, or the one in the file of that path if it ends in `.yaml` or `.yml`.

        Raises:
            ConfigError: there is no such file, it cannot be read, is not YAML, or holds no mapping.
        """
        path = Path(source) if source.endswith((".yaml", ".yml")) else self.folder / f"{source}.yaml"
        if not path.is_file():
            known = ", ".join(self.names)
            raise ConfigError(f"There is no {self.noun} '{source}'; name one of {known}, or a YAML file.")
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}.") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
        if not isinstance(raw, dict):
            first, second = self.needs
            raise ConfigError(f"{path} must hold a mapping with '{first}' and '{second}'.")
        return raw


class Frozen(BaseModel):
    """Base of every configuration and record read from a file: immutable, unknown fields forbidden.

    `renamed` maps the former name of a field to its current one; a former name is refused with the current one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    renamed: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _former_names_are_refused(cls, given: Any) -> Any:
        for former in cls.renamed.keys() & given.keys() if isinstance(given, Mapping) else ():
            raise ValueError(f"'{former}' is now called '{cls.renamed[former]}'; rename it")
        return given
