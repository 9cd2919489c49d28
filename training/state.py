"""State of a run: its settings, and the finished steps of each iteration, in one small JSON file."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from serving.config import Frozen
from serving.validation import first_issue
from training.errors import TrainingError
from training.job import Method, replaced

FILE = "state.json"


class IterationState(Frozen):
    """Finished steps of one iteration, each with its counts."""

    number: int  # from 1
    method: Method
    steps: dict[str, dict[str, Any]] = {}  # generate, select, train, profile
    weights: dict[str, str] = {}  # folder of each model's weights after the iteration, by model

    @property
    def finished(self) -> bool:
        """True if the iteration's profile is written."""
        return "profile" in self.steps


class RunState(Frozen):
    """A run of `python -m training optima`."""

    run: str  # random id: the profiles name it, so that a server can be asked what it serves
    settings: dict[str, Any]  # those that must be equal when the run is resumed
    iterations: tuple[IterationState, ...] = ()

    def with_iteration(self, changed: IterationState) -> "RunState":
        """The state with one iteration added or replaced."""
        others = [one for one in self.iterations if one.number != changed.number]
        return self.model_copy(update={"iterations": tuple(sorted([*others, changed], key=lambda one: one.number))})

    def iteration(self, number: int) -> IterationState | None:
        """The iteration with this number, if it has begun."""
        return next((one for one in self.iterations if one.number == number), None)

    def version(self, number: int) -> str:
        """Entry `training` of `/version` of a server with the weights after iteration `number`."""
        return f"{self.run}/{number}"

    def weights_before(self, number: int) -> dict[str, str]:
        """Folder of each model's weights before iteration `number`; models that were not trained yet have none."""
        found: dict[str, str] = {}
        for one in self.iterations:
            if one.number < number:
                found.update(one.weights)
        return found


def open_state(folder: Path, settings: Mapping[str, Any]) -> RunState:
    """Read the state of a run, or begin one.

    Raises:
        TrainingError: the folder holds a run with other settings, or its state cannot be read.
    """
    wanted = json.loads(json.dumps(dict(settings)))
    if not (folder / FILE).exists():
        state = RunState(run=secrets.token_hex(4), settings=wanted)
        save_state(folder, state)
        return state
    state = read_state(folder)
    for name, value in wanted.items():
        if state.settings.get(name) != value:
            was, now = json.dumps(state.settings.get(name)), json.dumps(value)
            raise TrainingError(
                f"'{folder}' holds a run with other settings: {name} was {was}, is now {now}. Choose another --out or"
                " the previous settings."
            )
    return state


def read_state(folder: Path) -> RunState:
    """Read the state of a run. Raises `TrainingError`."""
    path = folder / FILE
    try:
        return RunState.model_validate_json(path.read_bytes())
    except OSError:
        raise TrainingError(
            f"'{folder}' holds no run; begin one with 'python -m training optima --out {folder}'."
        ) from None
    except ValidationError as error:
        raise TrainingError(f"{path}: {first_issue(error, whole='the state').sentence}") from None


def save_state(folder: Path, state: RunState) -> None:
    """Write the state in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    replaced(folder / FILE, json.dumps(state.model_dump(mode="json"), indent=2) + "\n")
