"""Arguments of a start, `key=value`, checked with one sentence for each mistake."""

from collections.abc import Mapping
from typing import Any

import click
from pydantic import ValidationError

from deployments.config import AppArgs
from serving.errors import ConfigError
from serving.suggestions import did_you_mean
from serving.validation import first_issue


def checked(given: Mapping[str, Any]) -> AppArgs:
    """The arguments, from the values of their keys.

    Raises:
        ConfigError: a key is unknown, or a value is wrong.
    """
    for key in given:
        if key not in AppArgs.model_fields:
            hint = did_you_mean(key, AppArgs.model_fields)
            raise ConfigError(f"There is no key '{key}'; {hint}choose one of {', '.join(AppArgs.model_fields)}.")
    try:
        return AppArgs.model_validate(given)
    except ValidationError as error:
        raise ConfigError(first_issue(error, whole="the arguments").sentence) from None


class ServeArgs(AppArgs):
    """Arguments of `serve run deployments:moa_app`, whose mistakes the command prints as a sentence."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> "ServeArgs":
        """Check what Ray read from the command line, a mapping. Raises `click.ClickException`."""
        try:
            return cls.model_construct(**dict(checked(obj)))
        except ConfigError as error:
            raise click.ClickException(str(error)) from None
