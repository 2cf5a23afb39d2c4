"""Create calls that are sent as forms."""

import pytest

from receiver.errors import InvalidBody
from receiver.models import Upload
from receiver.providers.forms import form, is_data_url


def test_sends_text_as_it_is_and_the_rest_as_json():
    sent = form({"prompt": '夜 "明"', "n": 2, "loop": True, "size": {"w": 1}, "seed": None}, files=[])

    assert sent == {"prompt": '夜 "明"', "n": "2", "loop": "true", "size": '{"w": 1}'}


def test_makes_a_file_of_a_data_url():
    sent = form({"image": "data:image/PNG;base64,iVBORw0KGgo="}, files=["image"])

    assert sent == {"image": Upload(name="image.png", content_type="image/png", data=b"\x89PNG\r\n\x1a\n")}


@pytest.mark.parametrize("url", ["https://a.example/b.png", "data:image/png;base64,", "data:,text", "data:a", 7, []])
def test_takes_no_file_that_is_none(url):
    with pytest.raises(InvalidBody, match="image is not a whole data: URL"):
        form({"image": url}, files=["image"])


@pytest.mark.parametrize(("value", "is_one"), [("DATA:x", True), ("https://a.example", False), (None, False)])
def test_tells_a_file_from_its_address(value, is_one):
    assert is_data_url(value) is is_one
