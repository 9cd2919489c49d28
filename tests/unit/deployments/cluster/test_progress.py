import json
import re

import pytest

from deployments.cluster.progress import how_to_ask
from deployments.config import PROFILES, load_profile


@pytest.mark.parametrize("name", sorted(path.stem for path in PROFILES.glob("*.yaml")))
def test_the_line_to_paste_asks_a_model_that_is_served(name: str) -> None:
    line = "\n".join(how_to_ask(load_profile(name), "http://127.0.0.1:8000"))
    body = re.search(r"-d '(.*)'", line)
    assert body is not None
    assert json.loads(body.group(1))["model"] == "moa-lite"
