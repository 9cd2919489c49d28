"""Serving on Ray: `serve run deployments:moa_app`.

The environment is completed here because Ray and vLLM read it when they are first imported or started.
"""

from typing import TYPE_CHECKING

from deployments.cluster.environment import complete_environment
from deployments.config import AppArgs

if TYPE_CHECKING:
    from ray.serve import Application

complete_environment()


def moa_app(args: AppArgs) -> "Application":
    """The whole server as one Serve application: `serve run deployments:moa_app profile=large port=8080`.

    Raises:
        click.ClickException: the profile cannot work, in one sentence; no engine has been started.
    """
    import click

    from deployments.cluster.local import prepare
    from serving.errors import ConfigError

    try:
        profile, local = prepare(args)
        from deployments.app import build  # imports vllm: seconds, only once all else is well

        return build(profile, args, local=local)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
