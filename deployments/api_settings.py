"""Settings of the API, completed by the environment."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import SecretStr

from serving.api.settings import ApiSettings

API_KEY = "MOA_API_KEY"  # one key, or several separated by commas
TENANT_SECRET = "MOA_TENANT_SECRET"


def api_settings(settings: ApiSettings, environment: Mapping[str, str]) -> ApiSettings:
    """`settings` completed by the replica: keys from its environment, versions of what it runs on.

    Raises `ConfigError` if a key's variable is not set.
    """
    changes: dict[str, Any] = {
        "versions": {"ray": version("ray"), **settings.versions},
        "echo_request_id": False,  # Serve's own middleware sends the header already
    }
    if settings.api_key is None and environment.get(API_KEY):
        changes["api_key"] = tuple(SecretStr(key.strip()) for key in environment[API_KEY].split(",") if key.strip())
    if settings.admin_key is None and environment.get(settings.admin_key_env, "").strip():
        changes["admin_key"] = SecretStr(environment[settings.admin_key_env].strip())
    if settings.keys:
        changes["keys"] = tuple(key.read(environment) for key in settings.keys)
    if settings.tenant_secret is None and environment.get(TENANT_SECRET):
        # Validated as if it were in the profile.
        changes["tenant_secret"] = ApiSettings(tenant_secret=SecretStr(environment[TENANT_SECRET])).tenant_secret
    return settings.model_copy(update=changes)
