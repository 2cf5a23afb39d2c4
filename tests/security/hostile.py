"""What anybody may send, as Hypothesis strategies: noise, JSON of every shape, and real bodies with a part replaced."""

import base64
import copy
import json
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from receiver import plugins
from receiver.models import Delivery, Job, Response
from receiver.providers.base import Provider
from receiver.testing import make_job

_SAMPLES = Path(__file__).parents[1] / "samples"
_AT = datetime.fromisoformat("2026-03-09T16:12:43Z")
_SECRETS = [
    "the-secret-of-a-test",
    f"whsec_{base64.b64encode(b'the-secret-of-a-test-of-32-bytes').decode()}",
    "the-access-key:the-secret-key",
]

_NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, -1, 2**53 + 1, 2**63, 2**64, 10**300, 10**4000, 1e308, 5e-324])
)
_TEXTS = st.one_of(
    st.text(max_size=40),
    # With halves of surrogate pairs, which JSON may hold and UTF-8 may not.
    st.text(st.characters(exclude_categories=()), max_size=10),
    st.sampled_from(["", "\0", "\ud800", "completed", "x" * 3000, "../..", "0001-01-01T00:00:00+14:00", "=1+1"]),
    st.sampled_from(["<script>alert(1)</script>", "\r\nX: y", "javascript:alert(1)", "http://[", "//evil.example"]),
)

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(_TEXTS, inside, max_size=4),
    max_leaves=12,
)

toml_values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.floats(),
        _TEXTS,
        st.datetimes(),
        st.just(date(2026, 3, 9)),
        st.just(time(0)),
        st.sampled_from(
            ["5s", "1h", "60/min", "1 MiB", "creativeai", "*", "log", "${HOME}", "127.0.0.1:0", "sqlite://"]
        ),
    ),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(_TEXTS, inside, max_size=3),
    max_leaves=8,
)

headers = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
    # The bytes of a header arrive as Latin-1.
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60),
    max_size=4,
)


@cache
def adapters() -> tuple[Provider, ...]:
    """Each provider, set up as for one source."""
    return tuple(_adapter(kind) for _, kind in sorted(plugins.providers().items()))


def _adapter(kind: type[Provider]) -> Provider:
    made = kind(api_key=_SECRETS[2] if kind.key_pair else _SECRETS[0], base_url="https://api.example.com")
    fitting = [] if made.scheme is None else [secret for secret in _SECRETS if made.scheme.fault(secret) is None]
    made.secrets = tuple(fitting[:1])
    return made


@cache
def _recorded(provider: str) -> tuple[bytes, ...]:
    files = sorted((_SAMPLES / provider).rglob("*.json"))
    return tuple(file.read_bytes() for file in files) or (b'{"id": "a", "status": "completed"}',)


@st.composite
def bodies(draw: st.DrawFn, adapter: Provider) -> bytes:
    """A body of that provider's with parts of it replaced, or anything else."""
    whole = draw(st.sampled_from(_recorded(adapter.name)))
    match draw(st.integers(0, 9)):
        case 0:
            return draw(st.binary(max_size=200))
        case 1:
            return _written(draw(json_values))
        case 2:
            return whole[: draw(st.integers(0, len(whole)))]
    value = json.loads(whole)
    for _ in range(draw(st.integers(0, 3))):
        value = draw(_replaced(value))
    return _written(value)


@st.composite
def _replaced(draw: st.DrawFn, value: Any) -> Any:
    """The value with one part of it, at any depth, another."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 3)) == 0:
        return draw(json_values)
    changed = copy.copy(value)
    place = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    changed[place] = draw(_replaced(value[place]))
    return changed


@st.composite
def deliveries(draw: st.DrawFn, adapter: Provider) -> Delivery:
    """A webhook, with headers that may be those of a signature, whole or spoiled."""
    delivery = Delivery(
        source="studio", body=draw(bodies(adapter)), headers=draw(headers), received_at=_AT, path=draw(_TEXTS)
    )
    names = adapter.scheme.headers if adapter.scheme is not None else ()
    values = st.text(st.characters(max_codepoint=255), max_size=100)
    found = {name.lower(): draw(values) for name in names if draw(st.booleans())}
    return Delivery(**{**vars(delivery), "headers": {**delivery.headers, **found}})


@st.composite
def responses(draw: st.DrawFn, adapter: Provider) -> Response:
    """An answer of any status."""
    status = draw(
        st.one_of(st.sampled_from([200, 200, 200, 201, 202, 400, 401, 404, 422, 429, 500]), st.integers(100, 599))
    )
    told = draw(headers) | draw(
        st.fixed_dictionaries(
            {}, optional={"retry-after": _TEXTS, "content-type": _TEXTS, "date": _TEXTS, "x-ratelimit-reset": _TEXTS}
        )
    )
    return Response(status_code=status, headers=told, body=draw(bodies(adapter)))


@st.composite
def jobs(draw: st.DrawFn, adapter: Provider) -> Job:
    """A job of that provider's, known by any id that can be one."""
    printable = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=30)
    return make_job(draw(printable), kind=draw(st.sampled_from(list(adapter.kinds))))


def _written(value: Any) -> bytes:
    # Python writes NaN as no JSON has it, which senders may do as well.
    return json.dumps(value, ensure_ascii=True).encode()
