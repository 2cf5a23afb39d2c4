"""Who may do what: tokens, roles, sessions in a cookie, and requests that other sites' pages forge."""

import re
from datetime import timedelta

import httpx
import pytest

from receiver import tokens
from receiver.admin import access
from receiver.admin.api import OPERATIONS, PREFIX
from receiver.admin.tries import PER_ADDRESS
from receiver.models import Role, Scope
from tests.admin.conftest import another_app
from tests.admin.serving import serving
from tests.trouble import database_locked

# Every operation that takes more than reading.
BEYOND_READING = {
    ("POST", "/replays"): Scope.OPERATE,
    ("DELETE", "/replays/{replay}"): Scope.OPERATE,
    ("POST", "/retries"): Scope.OPERATE,
    ("POST", "/discards"): Scope.OPERATE,
    ("POST", "/quarantine/{refusal}/verify"): Scope.OPERATE,
    ("POST", "/polls"): Scope.OPERATE,
    ("POST", "/discoveries"): Scope.OPERATE,
    ("POST", "/prunes"): Scope.OPERATE,
    ("POST", "/sources/{source}/pause"): Scope.OPERATE,
    ("POST", "/sources/{source}/resume"): Scope.OPERATE,
    ("POST", "/handlers/{handler}/pause"): Scope.OPERATE,
    ("POST", "/handlers/{handler}/resume"): Scope.OPERATE,
    ("GET", "/sources/{source}/catalog"): Scope.SUBMIT,
    ("POST", "/jobs"): Scope.SUBMIT,
    ("POST", "/submissions"): Scope.SUBMIT,
    ("DELETE", "/intents/{intent}"): Scope.SUBMIT,
}
EVERY_OPERATION = [
    pytest.param(operation, id=f"{operation.method} {operation.path}")
    for operation in OPERATIONS
    if operation.name != "follow"
]


@pytest.fixture
def url(app):
    with serving(app) as served:
        yield served


@pytest.fixture
def browser(url):
    """Keeps cookies, like a browser, and sends what one would send from our own pages."""
    with httpx.Client(base_url=url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=10) as client:
        yield client


@pytest.fixture
def signed_in(browser, token):
    assert browser.post("/sign-in", data={"token": token}).status_code == 303
    return browser


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def path_of(operation):
    return PREFIX + operation.path.replace("{", "").replace("}", "")


def csrf_token_of(app, browser):
    cookie = browser.cookies["receiver"]
    with app.test_request_context("/", headers={"Cookie": f"receiver={cookie}"}):
        return access.csrf_token()


# Tokens


def test_without_a_token_nothing_is_answered_but_that_it_lives(app):
    client = app.test_client()
    open_to_all = {"/healthz", "/sign-in", "/static/<path:filename>"}

    answered = {
        rule.rule: client.open(re.sub(r"<[^>]*>", "1", rule.rule), method=method).status_code
        for rule in app.url_map.iter_rules()
        if rule.rule not in open_to_all
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    assert set(answered.values()) == {401}, answered


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("Bearer rcv_unknown", id="unknown"),
        pytest.param("Bearer", id="empty"),
        pytest.param("Bearer " + "x" * 5000, id="long"),
        pytest.param("Basic dXNlcjpwYXNzd29yZA==", id="basic"),
        pytest.param("\xff\xfe", id="no-text"),
    ],
)
def test_whoever_has_no_token_is_told_so(app, authorization):
    answer = app.test_client().get("/api/v1/events", headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_that_expired_is_none(app, store):
    expired = tokens.add(store, "short", role=Role.VIEWER, lasts=timedelta(microseconds=1))

    assert app.test_client().get("/api/v1/events", headers=bearer(expired)).status_code == 401


def test_a_token_that_was_removed_is_none(app, store, token):
    store.remove_token("operator")

    assert app.test_client().get("/api/v1/events", headers=bearer(token)).status_code == 401


def test_notes_when_a_token_was_used(api, store):
    api.get("/events")

    [token] = store.tokens()
    assert token.last_used_at is not None


def test_reads_though_the_store_cannot_be_written(api, database):
    with database_locked(database):
        answer = api.get("/events")

    assert answer.status_code == 200


def test_keeps_no_token_in_clear(api, store, token, database):
    api.get("/events")

    written = b"".join(file.read_bytes() for file in database.parent.glob(f"{database.name}*") if file.is_file())
    assert token.removeprefix("rcv_").encode() not in written


# Roles and scopes


@pytest.mark.parametrize("operation", EVERY_OPERATION)
@pytest.mark.parametrize(
    "scopes",
    [
        pytest.param(Role.VIEWER.scopes, id="viewer"),
        pytest.param(Role.OPERATOR.scopes, id="operator"),
        pytest.param(frozenset([Scope.OPERATE]), id="only-operate"),
        pytest.param(frozenset([Scope.SUBMIT]), id="only-submit"),
    ],
)
def test_only_whoever_has_the_scope_may(app, store, operation, scopes):
    role = Role.VIEWER if scopes == Role.VIEWER.scopes else Role.OPERATOR
    token = tokens.add(store, "someone", role=role, scopes=scopes)
    wanted = BEYOND_READING.get((operation.method, operation.path), Scope.READ)

    answer = app.test_client().open(path_of(operation), method=operation.method, headers=bearer(token))

    assert (answer.status_code == 403) == (wanted not in scopes)


# Sessions


def test_signing_in_opens_a_session(signed_in):
    assert signed_in.get("/api/v1/events").status_code == 200


def test_the_cookie_is_for_no_script_and_no_other_site(browser, token):
    answer = browser.post("/sign-in", data={"token": token})

    assert answer.headers["Set-Cookie"].split("; ")[1:] == [
        answer.headers["Set-Cookie"].split("; ")[1],
        "Max-Age=43200",
        "HttpOnly",
        "Path=/",
        "SameSite=Strict",
    ]


def test_the_cookie_does_not_hold_the_token(signed_in, token):
    assert token not in signed_in.cookies["receiver"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"token": "rcv_unknown"}, id="unknown"),
        pytest.param({"token": ""}, id="empty"),
        pytest.param({}, id="missing"),
        pytest.param({"token": "\ud800".encode("utf-8", "surrogatepass")}, id="no-text"),
    ],
)
def test_whatever_is_no_token_opens_no_session(browser, sent):
    answer = browser.post("/sign-in", data=sent)

    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (401, None)


def test_all_failures_look_the_same(browser, store):
    expired = tokens.add(store, "short", role=Role.VIEWER, lasts=timedelta(microseconds=1))

    answers = {browser.post("/sign-in", data={"token": token}).text for token in ("", "rcv_unknown", expired)}

    assert len(answers) == 1


def test_a_session_ends_by_signing_out(app, signed_in):
    cookie = signed_in.cookies["receiver"]
    answer = signed_in.post("/sign-out", data={"csrf_token": csrf_token_of(app, signed_in)})
    signed_in.cookies.set("receiver", cookie)

    assert answer.status_code == 303
    assert signed_in.get("/api/v1/events").status_code == 401


def test_a_session_ends_with_its_token(signed_in, store):
    store.remove_token("operator")

    assert signed_in.get("/api/v1/events").status_code == 401


def test_a_session_changes_nothing_through_the_api(app, signed_in):
    headers = {"X-CSRF-Token": csrf_token_of(app, signed_in)}

    answer = signed_in.post("/api/v1/handlers/orders/pause", headers=headers)

    assert answer.status_code == 401


def test_behind_https_the_cookie_is_for_that_host_and_https_alone(app, token, tables, tmp_path):
    secure = {**tables, "admin": {"public_url": "https://admin.example.com"}}
    with another_app(secure, tmp_path) as behind:
        answer = behind.test_client().post(
            "/sign-in",
            data={"token": token},
            headers={"Host": "admin.example.com", "Origin": "https://admin.example.com"},
        )

    name, *attributes = answer.headers["Set-Cookie"].replace("=", "; ", 1).split("; ")
    assert name == "__Host-receiver"
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= set(attributes)


# Forged requests


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({}, id="no-token"),
        pytest.param({"data": {"csrf_token": "0" * 64}}, id="wrong-token"),
        pytest.param({"data": {"csrf_token": "ü"}}, id="not-ascii"),
        pytest.param({"headers": {"X-CSRF-Token": "0" * 64}}, id="wrong-header"),
    ],
)
def test_a_form_without_the_sessions_token_is_refused(signed_in, forged):
    answers = [signed_in.post("/sign-out", **forged).status_code, signed_in.get("/api/v1/events").status_code]

    assert answers == [403, 200]


def test_another_sessions_token_is_refused(app, signed_in, token):
    with httpx.Client(base_url=signed_in.base_url, timeout=10) as another:
        another.post("/sign-in", data={"token": token})
        theirs = csrf_token_of(app, another)

    assert signed_in.post("/sign-out", data={"csrf_token": theirs}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="cross-site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="same-site"),
        pytest.param({"Origin": "https://evil.example"}, id="other-origin"),
        pytest.param({"Origin": "null"}, id="no-origin"),
        pytest.param({"Origin": "http://["}, id="broken-origin"),
    ],
)
def test_what_another_sites_page_sends_is_refused_even_with_the_token(app, signed_in, headers):
    data = {"csrf_token": csrf_token_of(app, signed_in)}

    assert signed_in.post("/sign-out", data=data, headers=headers).status_code == 403


def test_another_sites_page_signs_nobody_in(browser, token):
    answer = browser.post("/sign-in", data={"token": token}, headers={"Sec-Fetch-Site": "cross-site"})

    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (403, None)


def test_the_token_may_come_in_a_header(app, signed_in):
    headers = {"X-CSRF-Token": csrf_token_of(app, signed_in)}

    assert signed_in.post("/sign-out", headers=headers).status_code == 303


# Tries


def test_signing_in_may_fail_so_often(browser):
    answers = [browser.post("/sign-in", data={"token": "rcv_unknown"}) for _ in range(PER_ADDRESS + 1)]

    assert (answers[-1].status_code, answers[-1].headers["Retry-After"]) == (429, "60")


def test_however_often_others_fail_a_token_gets_in(browser, token):
    for _ in range(PER_ADDRESS + 1):
        browser.post("/sign-in", data={"token": "rcv_unknown"})

    answer = browser.post("/sign-in", data={"token": token})

    assert answer.status_code == 303


def test_behind_a_proxy_failures_are_those_of_whom_it_names(tables, tmp_path):
    tables["admin"] = {"public_url": "https://admin.example.com"}
    with another_app(tables, tmp_path) as behind:
        client = behind.test_client()
        answers = [
            client.post("/sign-in", data={"token": "rcv_unknown"}, headers={"X-Forwarded-For": f"made-up, {address}"})
            for address in ["192.0.2.1"] * (PER_ADDRESS + 1) + ["192.0.2.2"]
        ]

    assert [answer.status_code for answer in answers] == [401] * PER_ADDRESS + [429, 401]


def test_without_a_proxy_nobody_names_another_address(browser):
    answers = [
        browser.post("/sign-in", data={"token": "rcv_unknown"}, headers={"X-Forwarded-For": f"192.0.2.{number}"})
        for number in range(PER_ADDRESS + 1)
    ]

    assert answers[-1].status_code == 429


def test_too_many_failures_leave_bearers_alone(browser, token):
    for _ in range(PER_ADDRESS + 1):
        browser.post("/sign-in", data={"token": "rcv_unknown"})

    assert browser.get("/api/v1/events", headers=bearer(token)).status_code == 200
