"""Tools of other types than functions, which a request may have and this server does not."""

import re
from typing import Self

from pydantic import PrivateAttr

from serving.api.schemas.wire import Wire

# Types of OpenAI's Responses API. Most run on OpenAI's servers; `custom` is Codex's.
OF_RESPONSES = re.compile(
    r"(web_search|web_search_preview|file_search|code_interpreter|image_generation|mcp|computer_use_preview|computer"
    r"|local_shell|shell|apply_patch|custom|tool_search)(_\d{4}_\d{2}_\d{2})?"
)
# Types of Anthropic's Messages API, each with its date.
OF_MESSAGES = re.compile(
    r"(web_search|web_fetch|code_execution|tool_search_tool_regex|tool_search_tool_bm25|bash|text_editor|computer|memory"
    r"|advisor)_\d{8}|mcp_toolset"
)


class OmittingBody(Wire):
    """A body from which tools were left out, as the setting `unsupported_tools` says."""

    _omitted: tuple[str, ...] = PrivateAttr(default=())

    @property
    def omitted(self) -> tuple[str, ...]:
        """One sentence for the caller per tool that was left out."""
        return self._omitted

    def omitting(self, omitted: tuple[str, ...]) -> Self:
        """This body, which remembers what was left out."""
        self._omitted = omitted
        return self
