from scripts.generate_docs import documents, main
from serving.api.settings import ApiSettings
from serving.runtime.policy import Policy


def test_generated_documents_are_current() -> None:
    assert [str(path) for path, text in documents().items() if path.read_text() != text] == []
    assert main(["--check"]) == 0


def test_every_api_setting_has_a_description() -> None:
    assert [name for name, field in ApiSettings.model_fields.items() if not field.description] == []


def test_every_recipe_setting_has_a_description() -> None:
    assert [name for name, field in Policy.model_fields.items() if not field.description] == []
