"""Errors of request fields, which a valid request does not reach."""

from collections.abc import Sequence

from serving.errors import InvalidRequest, UnsupportedField
from serving.validation import ValidationIssue, abbreviated, kind_of, shown

TYPED = {
    "tool_calls": ("tool calls", ("function",)),
    "tools": ("tools", ("function",)),
}
TOOL_CHOICES = "'none', 'auto', 'required', a function or allowed tools"
# Lists that may also be given as a single string.
LISTS_OR_STRINGS = {"content": "a string or a list of parts", "stop": "a string or a list of strings"}


def invalid(issue: ValidationIssue) -> InvalidRequest:
    """Error for a validation issue; an unsupported field has its own class and code."""
    path, value = issue.path, issue.value
    field = issue.location[-1]
    if issue.kind == "extra_forbidden":
        return UnsupportedField(path, "there is no such field")
    if issue.kind == "literal_error" and field == "type" and isinstance(value, str):
        for name, (things, supported) in TYPED.items():
            if name in issue.location:
                return UnsupportedField(path, unsupported(f"{things} of the type", value, supported))
    if issue.location[0] == "tool_choice" and len(issue.location) < 3 and field not in ("function", "allowed_tools"):
        return InvalidRequest(f"Set 'tool_choice' to {TOOL_CHOICES}, not {shown(value)}.", "tool_choice")
    if issue.kind == "list_type" and field in LISTS_OR_STRINGS:
        return InvalidRequest(f"Set '{path}' to {LISTS_OR_STRINGS[str(field)]}, not {kind_of(value)}.", path)
    return InvalidRequest(issue.sentence, path)


def unsupported(things: str, value: str, supported: Sequence[str]) -> str:
    """Reason for which `value` is refused: `things` of its kind are not supported."""
    names = ", ".join(f"'{name}'" for name in supported)
    return f"{things} '{abbreviated(value)}' are not supported, only {names}"
