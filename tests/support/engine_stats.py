"""For each line on stdin the stats of every model, as one JSON line: a process of its own that joins the cluster.

Run as `python -m tests.support.engine_stats GCS_ADDRESS MODEL...`.
"""

import dataclasses
import json
import os
import sys

from serving.command_line import CommandLine

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # the server's cluster is on loopback
os.environ["RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP"] = "1"  # tests that import `deployments` set what replicas need: 0
os.environ["RAY_AUTH_MODE"] = "token"  # a cluster started by ray.init asks for the user's token


def main() -> None:
    parser = CommandLine(prog="python -m tests.support.engine_stats", description=__doc__)
    parser.add_argument("address", metavar="GCS_ADDRESS", help="address of the cluster")
    parser.add_argument("models", nargs="+", metavar="MODEL", help="ids of served models")
    given = parser.parse_args()
    import ray
    from ray import serve

    models = given.models
    ray.init(address=given.address, namespace="serve", log_to_driver=False, logging_level="ERROR")
    handles = {model: serve.get_deployment_handle(f"model:{model}", "default") for model in models}
    for _ in sys.stdin:
        stats = {model: dataclasses.asdict(handle.stats.remote().result()) for model, handle in handles.items()}
        print(json.dumps(stats), flush=True)


if __name__ == "__main__":
    main()
