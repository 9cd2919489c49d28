"""OpenAI-compatible HTTP API over engines."""

from serving.api.app import create_app
from serving.api.settings import ApiSettings

__all__ = ["ApiSettings", "create_app"]
