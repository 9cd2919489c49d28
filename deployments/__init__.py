"""Serving on Ray: `serve run deployments:moa_app`.

Importing the package sets default environment variables: Ray and vLLM read them when they are imported or started.
"""

from typing import TYPE_CHECKING

from deployments.arguments import ServeArgs
from deployments.cluster.environment import set_default_environment

if TYPE_CHECKING:
    from ray.serve import Application

set_default_environment()


def moa_app(args: ServeArgs) -> "Application":
    """Build the complete server as one Serve application: `serve run deployments:moa_app profile=large port=8080`.

    Raises:
        click.ClickException: the profile cannot work, with the reason in one sentence; no engine has been started.
    """
    import click

    from deployments.cluster.local import prepare
    from serving.errors import ConfigError

    try:
        profile, local = prepare(args)
        from deployments.app import build  # imports vllm, which takes seconds: only for a profile that passed

        return build(profile, args, local=local)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
