"""Arguments of a chat template that control a model's thinking."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from serving.config import Frozen
from serving.conversation import Effort, Thinking


class ThinkingSpec(Frozen):
    """Arguments of a model's chat template that control its thinking; needs `engine_kwargs.reasoning_parser`."""

    switch_arg: str | None = Field(
        default=None,
        description="Template argument that takes true or false, such as enable_thinking. None: it cannot be switched.",
    )
    effort_arg: str | None = Field(
        default=None, description="Template argument that takes the effort, such as reasoning_effort. None: no levels."
    )
    efforts: Mapping[Effort, str] = Field(
        default_factory=dict,
        description="Values of effort_arg for efforts that the model does not have, such as {none: low}. Others keep"
        " their names.",
    )
    default: bool = Field(default=True, description="The model thinks unless a request or an agent says otherwise.")

    @model_validator(mode="after")
    def _efforts_have_an_argument(self) -> "ThinkingSpec":
        if self.efforts and self.effort_arg is None:
            raise ValueError("set effort_arg; efforts are values of that argument")
        return self

    def enabled(self, thinking: Thinking) -> bool:
        """True if the model is to think."""
        if thinking.enabled is not None:
            return thinking.enabled
        return self.default if thinking.effort is None else thinking.effort != "none"

    @property
    def _effort_of_on(self) -> Effort | None:
        """Effort of thinking that is asked for without one, if nothing else can turn it on."""
        return None if self.default or self.switch_arg is not None else "medium"

    def template_args(self, thinking: Thinking) -> dict[str, Any]:
        """Template arguments for what `thinking` sets itself; the model's own default is not part of them."""
        found: dict[str, Any] = {}
        if thinking.enabled is None and thinking.effort is None:
            return found
        enabled = self.enabled(thinking)
        if self.switch_arg is not None:
            found[self.switch_arg] = enabled
        if self.effort_arg is not None:
            if enabled and (effort := thinking.effort or self._effort_of_on) is not None:
                found[self.effort_arg] = self.efforts.get(effort, effort)
            elif not enabled and self.switch_arg is None:
                found[self.effort_arg] = self.efforts.get("none", "none")
        return found
