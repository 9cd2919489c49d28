"""`python -m serving.keys`: keys made, shown, changed, replaced and revoked in the embedded database."""

import json
from pathlib import Path

import pytest

from serving.api.settings import ApiSettings
from serving.cards import ModelCard
from serving.keys import main, parsed, run_command
from serving.store.api_key import parsed_key
from serving.store.settings import StoreSettings


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("MOA_DATABASE_URL", raising=False)
    return tmp_path / "moa" / "store.sqlite"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(words)
    return capsys.readouterr().out


def test_a_key_is_made_changed_replaced_and_revoked(capsys: pytest.CaptureFixture[str], state: Path) -> None:
    text = run(capsys, "create", "search", "--team", "web", "--models", "a,b", "--requests-per-minute", "60").strip()
    assert parsed_key(text.encode()) is not None
    stored = b"".join(path.read_bytes() for path in state.parent.iterdir())
    assert b"search" in stored
    assert text.rsplit("-", 1)[1].encode() not in stored

    (shown,) = json.loads(run(capsys, "list", "--json"))
    assert (shown["name"], shown["team"], shown["models"]) == ("search", "web", ["a", "b"])
    assert shown["limits"] == {"requests_per_minute": 60}
    assert text not in run(capsys, "list") + run(capsys, "show", "search")

    words = ("--tokens-per-day", "none", "--over-budget", "cheap", "--models", "all", "--admin", "--expires", "90d")
    changed = json.loads(run(capsys, "set", "search", *words, "--json"))
    assert changed["limits"] == {
        "requests_per_minute": 60,
        "tokens_per_day": None,
        "over_budget": {"use": "cheap"},
    }
    assert (changed["models"], changed["admin"], changed["team"]) == (None, True, "web")
    changed = json.loads(run(capsys, "set", "search", "--requests-per-minute", "default", "--no-admin", "--json"))
    assert "requests_per_minute" not in changed["limits"]
    assert changed["admin"] is False
    assert changed["expires_at"] is not None

    new = json.loads(run(capsys, "rotate", "search", "--grace", "1h", "--json"))
    assert new["key"] != text
    assert len(json.loads(run(capsys, "list", "--json"))) == 2
    run(capsys, "revoke", "search")
    assert json.loads(run(capsys, "list", "--json")) == []
    assert {one["status"] for one in json.loads(run(capsys, "list", "--all", "--json"))} == {"revoked"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("create", "key-1"), "Change 'name': 'key-1' stands for other callers."),
        (("create", "none"), "Change 'name': 'none' stands for other callers."),
        (("create", "x", "--expires", "2020-01-01"), "Change 'expires_at': input should be in the future."),
        (("revoke", "x"), "There is no valid key 'x'; `python -m serving.keys list --all` shows all."),
        (("show", "x"), "There is no valid key 'x'; `python -m serving.keys list --all` shows all."),
        (("rotate", "x"), "There is no valid key 'x'; `python -m serving.keys list --all` shows all."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert str(caught.value) == f"Error: {sentence}"


def test_a_name_is_taken_once(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "create", "a")
    with pytest.raises(SystemExit, match="A valid key 'a' exists; rotate it to replace it"):
        main(("create", "a"))
    with pytest.raises(SystemExit, match="Give the settings to change"):
        main(("set", "a"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--requests-per-minute", "0"), "must be a whole number of at least 1, not '0'"),
        (("--usd-per-day", "x"), "must be a number of at least 1e-06, not 'x'"),
        (("--expires", "soon"), "must be a date such as 2027-01-31, or 90d from now, not 'soon'"),
    ],
)
def test_wrong_values_are_refused_before_the_store_is_opened(
    capsys: pytest.CaptureFixture[str], state: Path, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(("create", "a", *words))
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
    assert not state.exists()


def test_a_store_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(SystemExit, match="Error: the store cannot be reached: "):
        main(("list",))


def test_what_cannot_be_checked_without_a_profile_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--models", "moa-lite,nothing", "--over-budget", "nothing", "--usd-per-day", "3")
    main(("create", "search", *words))
    said = capsys.readouterr().err
    assert "not checked, as it is not known what the server serves: 'moa-lite', 'nothing', the prices of the" in said
    for words in (("set", "search", "--team", "web"), ("set", "search", "--models", "all"), ("create", "other")):
        main(words)
        assert "not checked" not in capsys.readouterr().err


def test_with_a_profile_wrong_ids_are_refused() -> None:
    settings = ApiSettings(require_key=True)
    for words in (("--models", "nothing"), ("--over-budget", "nothing", "--tokens-per-day", "5")):
        with pytest.raises(SystemExit, match="'nothing' is not one of moa"):
            run_command(
                parsed(("create", "search", *words)), StoreSettings(), settings, {"moa": ModelCard("moa", "recipe")}
            )
