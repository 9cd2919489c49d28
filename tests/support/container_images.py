"""Description of an image, as `buildah inspect` gives it."""

from typing import Any

from scripts.images.storage import Image

CONFIG = {
    "User": "1000",
    "WorkingDir": "/opt/moa",
    "Env": ["PATH=/opt/venv/bin:/usr/bin", "OPTIONS=a=b c"],
    "Entrypoint": ["tini", "--", "python"],
    "Cmd": ["profile=tiny"],
    "Healthcheck": {"Test": ["CMD", "wget", "-q", "http://127.0.0.1:8000/health"]},
}


def image(**changes: Any) -> Image:
    return Image({"Docker": {"config": {**CONFIG, **changes}}, "History": [{"created_by": "RUN pip install"}]})
