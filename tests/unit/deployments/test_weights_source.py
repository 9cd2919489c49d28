"""Sources of weights: what is taken literally is refused where people expect it to be replaced."""

import pytest
from pydantic import ValidationError

from deployments.adapter_spec import AdapterSpec
from deployments.model_spec import ModelSpec
from serving.validation import first_issue

SENTENCE = "Change 'source': write the whole path; '~' and variables are not replaced."


@pytest.mark.parametrize("source", ["~/models/a", "~", "${MODELS}/a", "/mnt/${NAME}"])
@pytest.mark.parametrize("spec", [ModelSpec, AdapterSpec])
def test_a_path_is_written_out(spec: type[ModelSpec] | type[AdapterSpec], source: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec.model_validate({"id": "a", "source": source})
    assert first_issue(caught.value).sentence == SENTENCE


@pytest.mark.parametrize("source", ["org/a~1", "/mnt/a$b", "s3://bucket/a", "./a"])
def test_what_is_a_source(source: str) -> None:
    assert AdapterSpec.model_validate({"id": "a", "source": source}).source == source
