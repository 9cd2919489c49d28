"""Backends: the programs that run the calls of a dataset's tools. A kind is a class with `kind` and `run`."""

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from evaluation.imports import imported
from evaluation.scoring.exact import normalized
from evaluation.tools.calculator import calculate
from evaluation.tools.errors import ToolError
from serving.config import Frozen

NOT_FOUND = "not found"


class Calculator(Frozen):
    """Computes the expression in the argument `parameter`."""

    kind: Literal["calculator"]
    parameter: str = Field(min_length=1)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the arguments that a call needs."""
        return (self.parameter,)

    async def run(self, arguments: Mapping[str, Any]) -> str:
        """Return the value. Raises `ToolError` if the expression has none."""
        return calculate(_text(arguments[self.parameter]))


class Lookup(Frozen):
    """Looks the argument `parameter` up in `entries`, without regard to case, accents and punctuation."""

    kind: Literal["lookup"]
    parameter: str = Field(min_length=1)
    entries: dict[str, str]

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the arguments that a call needs."""
        return (self.parameter,)

    async def run(self, arguments: Mapping[str, Any]) -> str:
        """Return the entry; `NOT_FOUND` if there is none."""
        known = {normalized(name): value for name, value in self.entries.items()}
        return known.get(normalized(_text(arguments[self.parameter])), NOT_FOUND)


class PythonFunction(Frozen):
    """Calls `function` ("module:function"), plain or async, with the arguments as keywords.

    A result other than a text is sent to the model as JSON.
    """

    kind: Literal["python"]
    function: str = Field(pattern=r"^[\w.]+:\w+$")
    _callable: Callable[..., Any] = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Import the function, so that a wrong name is refused before any question is asked."""
        try:
            found = imported(self.function)
        except ImportError as error:
            raise ValueError(f"cannot import '{self.function}': {error}") from error
        if not callable(found):
            raise ValueError(f"'{self.function}' is not a function")
        self._callable = found

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the arguments that a call needs: the tool's schema alone decides."""
        return ()

    async def run(self, arguments: Mapping[str, Any]) -> str:
        """Return the function's result. Raises `ToolError` if the function raises, whatever it is."""
        try:
            if inspect.iscoroutinefunction(self._callable):
                result = await self._callable(**arguments)
            else:  # in a thread: it may wait for files or for the network
                result = await asyncio.to_thread(self._callable, **arguments)
            return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        except (Exception, SystemExit) as error:
            raise ToolError(f"{type(error).__name__}: {error}") from error


Backend = Annotated[Calculator | Lookup | PythonFunction, Field(discriminator="kind")]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
