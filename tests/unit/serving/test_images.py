"""Images in messages: their places, and what is left of them for models that read text only."""

import pickle

from serving.conversation import Message
from serving.engine import EngineInfo
from serving.images import parts, readable, shifted, without_images
from serving.types import GenerateRequest
from tests.support.images import image, placed

TEXT = "Is [image] above [image]? I do not mean the word [image]."
SEEN = Message("user", TEXT, images=placed(TEXT, "red", "blue"))


def test_parts_are_split_at_offsets_and_not_where_a_text_looks_like_an_image() -> None:
    red, blue = SEEN.images
    assert parts(SEEN) == ["Is ", red, " above ", blue, "? I do not mean the word [image]."]
    assert parts(Message("user", "Only [image]")) == ["Only [image]"]
    assert parts(Message("user", "")) == []
    assert parts(Message("user", "[image]", images=placed("[image]", "red"))) == [image("red")]


def test_a_shifted_image_is_where_its_text_is() -> None:
    moved = shifted(SEEN.images, 4)
    assert ["abc " + TEXT[one.offset : one.offset + 7] for one in SEEN.images] == ["abc [image]"] * 2
    assert [("abc " + TEXT)[one.offset :][:7] for one in moved] == ["[image]"] * 2


def test_a_model_without_eyes_reads_the_word() -> None:
    request = GenerateRequest("r", (Message("system", "Be brief."), SEEN))
    blind = readable(request, EngineInfo())
    assert (blind.image_count, blind.messages[1].content) == (0, TEXT)
    assert readable(request, EngineInfo(modalities=("text", "image"))) is request
    plain = GenerateRequest("r", without_images(request.messages))
    assert readable(plain, EngineInfo()) is plain


def test_bytes_are_in_no_repr_and_the_digest_stands_for_them() -> None:
    red, blue = image("red"), image("blue")
    assert len(repr(red)) < 200
    assert red.digest in repr(red)
    assert red == image("red")
    assert red != blue
    assert hash(red) == hash(image("red"))
    sent = pickle.loads(pickle.dumps(SEEN))
    assert sent == SEEN
    assert sent.images[0].data == SEEN.images[0].data
