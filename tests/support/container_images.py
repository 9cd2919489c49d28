"""Description of an image, as `buildah inspect` gives it."""

from typing import Any

from scripts.images.check import LABELS
from scripts.images.storage import Image

CONFIG: dict[str, Any] = {
    "User": "1000",
    "WorkingDir": "/opt/moa",
    "Env": ["PATH=/opt/venv/bin:/usr/bin", "OPTIONS=a=b c"],
    "Entrypoint": ["tini", "--", "python"],
    "Cmd": ["profile=tiny"],
    "Labels": {f"org.opencontainers.image.{name}": name for name in LABELS},
    "Healthcheck": {"Test": ["CMD", "wget", "-q", "http://127.0.0.1:8000/health"]},
}


def image(**changes: Any) -> Image:
    return Image({"Docker": {"config": {**CONFIG, **changes}}, "History": [{"created_by": "RUN pip install"}]})
