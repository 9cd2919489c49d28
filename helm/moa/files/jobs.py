"""Calls of the Kubernetes API by the chart's jobs; needs the standard library only.

python jobs.py secrets NAME=KEY ...      makes each secret that does not exist, with a random value under KEY
python jobs.py suspend NAME true|false   sets spec.suspend of the RayService NAME

Reads the pod's service account; METADATA is the JSON of labels and annotations of new secrets.
"""

import json
import os
import secrets
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path(os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
TIMEOUT_S = 30
CONFLICT = 409  # an object of that name exists


def call(method: str, path: str, body: dict[str, Any], content_type: str = "application/json") -> int:
    """Status of one call. A refusal other than "exists already" ends the program with the server's sentence."""
    url = os.environ.get("KUBERNETES_API")
    context = None
    if not url:
        host = os.environ["KUBERNETES_SERVICE_HOST"]
        url = f"https://{f'[{host}]' if ':' in host else host}:{os.environ['KUBERNETES_SERVICE_PORT']}"
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}", "Content-Type": content_type}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        if error.code == CONFLICT and method == "POST":
            return CONFLICT
        sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"{method} {path}: the API server cannot be reached ({error}).")


def make_secret(namespace: str, name: str, key: str) -> None:
    """Make the secret unless it exists; an existing one is not read."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **json.loads(os.environ.get("METADATA", "{}"))},
        "type": "Opaque",
        "stringData": {key: secrets.token_urlsafe(36)},
    }
    status = call("POST", f"/api/v1/namespaces/{namespace}/secrets", body)
    print(f"{name}: {'kept, it exists' if status == CONFLICT else 'made'}")


def suspend(namespace: str, name: str, value: bool) -> None:
    """Stop the service, or start it again."""
    path = f"/apis/ray.io/v1/namespaces/{namespace}/rayservices/{name}"
    call("PATCH", path, {"spec": {"suspend": value}}, "application/merge-patch+json")
    print(f"{name}: {'suspended' if value else 'resumed'}")


def main(command: str, *arguments: str) -> None:
    """Run one command."""
    namespace = (ACCOUNT / "namespace").read_text().strip()
    if command == "secrets":
        for pair in arguments:
            make_secret(namespace, *pair.split("="))
    elif command == "suspend":
        name, value = arguments
        suspend(namespace, name, value == "true")
    else:
        sys.exit(f"'{command}' is no command: use secrets or suspend.")


if __name__ == "__main__":
    main(*sys.argv[1:])
