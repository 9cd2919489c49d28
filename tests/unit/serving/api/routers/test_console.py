"""The console's files over HTTP."""

import json
import re

import pytest
from starlette.types import ASGIApp

from serving.api.schemas.chat import ChatBody
from serving.console import CONTENT_SECURITY_POLICY, FOLDER, files
from serving.engines.scripted import ScriptedEngine
from tests.support.api import app_of, client_of, get


@pytest.fixture
def app() -> ASGIApp:
    return app_of({"m": ScriptedEngine("m")}, api_key="secret")


async def test_the_page_and_all_that_it_names_are_served_without_a_key(app: ASGIApp):
    page = await get(app, "/console")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:href|src)="([^#"][^"]*)"', page.text)
    assert len(named) >= 4
    for path in named:  # relative to the page, so that they work below a path prefix
        assert not path.startswith(("/", "http"))
        assert (await get(app, f"/{path}")).status_code == 200


async def test_every_module_that_is_imported_is_served(app: ASGIApp):
    for path in FOLDER.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text()):
            response = await get(app, f"/console/{name}")
            assert response.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("path", [*files()])
async def test_headers_forbid_everything_from_elsewhere(app: ASGIApp, path: str):
    response = await get(app, path)
    policy = response.headers["content-security-policy"]
    assert policy == CONTENT_SECURITY_POLICY.decode()
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_file_that_the_client_has_is_not_sent_again(app: ASGIApp):
    first = await get(app, "/console")
    async with client_of(app, **{"if-none-match": first.headers["etag"]}) as client:
        again = await client.get("/console")
    assert (again.status_code, again.content) == (304, b"")
    async with client_of(app) as client:
        head = await client.head("/console")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(first.content))


@pytest.mark.parametrize("path", ["/console/", "/console/__init__.py", "/console/../app.py", "/console/none.js"])
async def test_other_paths_are_unknown(app: ASGIApp, path: str):
    assert (await get(app, path)).status_code == 404


def test_the_forms_fields_are_those_of_a_request():
    found = re.search(r"SAMPLING = ({.*});", (FOLDER / "sampling.js").read_text(), re.DOTALL)
    assert found is not None
    properties = ChatBody.model_json_schema()["properties"]
    for name, shown in json.loads(found[1]).items():
        [real] = [option for option in properties[name]["anyOf"] if option["type"] != "null"]
        bounds = {"minimum", "maximum"} if name == "seed" else set()  # those of an integer's width
        assert shown == {key: value for key, value in real.items() if key not in bounds}


def test_scripts_make_no_html_of_text():
    for path in FOLDER.glob("*.js"):
        source = path.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert word not in source, path.name
        assert not re.search(r"""(?:fetch|import)\(?\s*["']https?:""", source), path.name
