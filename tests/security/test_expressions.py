"""No text, however it is made, keeps a regular expression of ours busy."""

import importlib
import inspect
import pkgutil
import re
import time
from fnmatch import fnmatchcase

import pytest
import receiver_handlers

import receiver

_LENGTH = 20_000
_SECONDS = 0.3
_PIECES = [
    *"a0 /.@-_%=&;:,\n\"'\\{[(<*+\0é\u2028",
    *(
        "aA",
        "a.",
        "a-",
        "a=",
        "a=b&",
        "=&",
        "//",
        "http://",
        "http://a@",
        "://:",
        "?password=",
        "{id}",
        "{body}",
        "{header:",
    ),
    *("../", "\\..", "/requests/", "eyJ", "eyJ.", "t=1,", "1.", "00", "</", "<?xml", "a,", "/v1/videos/", "/intents/"),
]


def expressions():
    """Every expression that a module keeps, with the ways in which the module uses it."""
    for package in (receiver, receiver_handlers):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name == "receiver.__main__" or found.name.endswith("engine.celery"):
                continue
            module = importlib.import_module(found.name)
            for name, kept in vars(module).items():
                if isinstance(kept, re.Pattern):
                    used = set(re.findall(rf"\b{name}\.(\w+)\(", inspect.getsource(module)))
                    yield pytest.param(kept, sorted(used), id=f"{found.name}.{name}")


@pytest.mark.parametrize(("expression", "ways"), list(expressions()))
def test_ends_soon(expression, ways):
    texts = [
        before + piece * (_LENGTH // len(piece)) + end for piece in _PIECES for before in ("", "x") for end in ("", "!")
    ]
    if isinstance(expression.pattern, bytes):
        texts = [text.encode() for text in texts]

    assert ways
    for text in texts:
        for way in ways:
            began = time.process_time()
            getattr(expression, way)(*(("", text) if way == "sub" else (text,)))
            assert time.process_time() - began < _SECONDS, (way, text[:20])


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*b", "*.*.*.*.*.*x", "[" * 50 + "*", "*" * 50 + "b"])
def test_the_filters_of_handlers_end_soon(pattern):
    began = time.process_time()

    # Types are cut to a hundred letters before that.
    assert not fnmatchcase("a." * 5_000, pattern)
    assert time.process_time() - began < _SECONDS
