"""The console's files over HTTP."""

import json
import re

import httpx
import pytest
from starlette.types import ASGIApp

from serving.api.schemas.chat import ChatBody
from serving.console import CONTENT_SECURITY_POLICY, FOLDER, files
from serving.engines.scripted import ScriptedEngine
from serving.recipes.loading import STRATEGIES
from tests.support.api import app_of, client_of, get, status_and_code


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


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*, TEXT/HTML"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_browsers_are_sent_from_the_root_to_the_page(app: ASGIApp, method: str, accept: str):
    async with client_of(app, accept=accept) as client:
        response = await client.request(method, "/")
        assert (response.status_code, response.headers["location"]) == (307, "console")
        assert response.headers["vary"] == "accept"  # no cache may give it to a program
        assert (await client.request(method, "/", follow_redirects=True)).status_code == 200


@pytest.mark.parametrize(
    ("method", "accept"), [("GET", "*/*"), ("GET", "application/json"), ("HEAD", "*/*"), ("POST", "text/html")]
)
async def test_programs_learn_that_nothing_is_at_the_root(app: ASGIApp, method: str, accept: str):
    async with client_of(app, accept=accept) as client:
        response = await client.request(method, "/")
    assert response.status_code == 404
    if method != "HEAD":
        assert status_and_code(response) == (404, "not_found")
        assert "POST /v1/chat/completions" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/console", "/docs"])
async def test_pages_are_found_with_a_slash_at_their_end(app: ASGIApp, path: str):
    async with client_of(app) as client:
        response = await client.get(f"{path}/")
        assert (response.status_code, response.headers["location"]) == (308, f"..{path}")
        found = await client.get(f"{path}/", follow_redirects=True)
    assert (found.status_code, found.url.path) == (200, path)


async def test_redirects_stay_below_a_path_prefix(app: ASGIApp):
    transport = httpx.ASGITransport(app, root_path="/team")
    async with httpx.AsyncClient(transport=transport, base_url="http://server", headers={"accept": "text/html"}) as web:
        for path in ("/team/", "/team/console/"):
            found = await web.get(path, follow_redirects=True)
            assert (found.status_code, found.url.path) == (200, "/team/console")
        assert (await web.get("/team/docs/", follow_redirects=True)).url.path == "/team/docs"


@pytest.mark.parametrize("path", ["/console//", "/console/__init__.py", "/console/../app.py", "/console/none.js"])
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


@pytest.mark.parametrize("table", ["LABELS", "NOTES"])
def test_every_setting_has_a_label_and_an_explanation(table: str):
    words = (FOLDER / "words.js").read_text()
    found = re.search(rf"export const {table} = {{\n(.*?)^}};", words, re.DOTALL | re.MULTILINE)
    assert found is not None
    named = set(re.findall(r"""(?:^|", |",\n)\s*"?([a-z_.]+)"?: \"""", found[1]))
    shown = json.loads(re.findall(r"SAMPLING = ({.*});", (FOLDER / "sampling.js").read_text(), re.DOTALL)[0])
    declared = {name for strategy in STRATEGIES.values() for name in strategy.per_request}
    assert {*shown, *declared, "moa.temperature"} - named == set()


def test_scripts_make_no_html_of_text():
    for path in FOLDER.glob("*.js"):
        source = path.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert word not in source, path.name
        assert not re.search(r"""(?:fetch|import)\(?\s*["']https?:""", source), path.name
