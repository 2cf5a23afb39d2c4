"""Which results a page can show."""

import pytest

from receiver.admin.pages.media import is_link, medium


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        pytest.param("https://cdn.example/a/film.mp4?signature=1.png", "image", "video", id="by-the-file"),
        pytest.param("https://cdn.example/picture.PNG", None, "image", id="capital-letters"),
        pytest.param("https://cdn.example/a/song.mp3", "video", "audio", id="sound"),
        pytest.param("https://cdn.example/results/17", "explainer_video", "video", id="by-the-kind"),
        pytest.param("https://cdn.example/results/17", "music", "audio", id="music"),
        pytest.param("https://cdn.example/results/17", "batch", None, id="nobody-knows"),
        pytest.param("https://cdn.example/picture.svg", None, None, id="a-drawing-may-hold-scripts"),
        pytest.param("http://cdn.example/picture.png", None, None, id="in-the-clear"),
        pytest.param("https://[broken", "video", None, id="no-url"),
    ],
)
def test_medium(url, kind, expected):
    assert medium(url, kind) == expected


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "//cdn.example/x", "https://", "ftp://cdn.example/x", "", "http://[x"],
)
def test_other_than_the_web_is_no_link(url):
    assert not is_link(url)


@pytest.mark.parametrize("url", ["https://cdn.example/x", "http://127.0.0.1:8000/x"])
def test_web_is_a_link(url):
    assert is_link(url)
