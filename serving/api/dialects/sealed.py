"""Reasoning in the opaque fields of history: `encrypted_content` of OpenAI's items, `signature` of Anthropic's blocks.

Clients send these fields back as they got them, some of them without the text beside it. The text is encoded, not
encrypted: the same answer has it in plain, and nothing is stored on the server.
"""

import base64
import binascii

MARK = "moa1."


def seal(reasoning: str) -> str:
    """Opaque value that carries `reasoning`."""
    return MARK + base64.b64encode(reasoning.encode("utf-8", "replace")).decode()


def unseal(value: str | None) -> str:
    """Reasoning in `value`; empty if another server made it."""
    if value is None or not value.startswith(MARK):
        return ""
    try:
        return base64.b64decode(value.removeprefix(MARK), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
