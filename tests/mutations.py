"""Breaks the product in each way that would cost most, and shows that a test notices.

`make mutations` runs it: first the tests as they are, which must pass, then each mutation in a copy of the tree, where
one of them must fail.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TESTS_FAILED = 1
_MINUTES = 5


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One mistake: a text of a file, what stands there instead, and the test that must fail then."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        name="acknowledged before it is stored",
        file="receiver/web/deliveries.py",
        old="        receipt = inbox.accept(configured, delivery, store=store, now=delivery.received_at)\n",
        new=(
            "        gevent.spawn(inbox.accept, configured, delivery, store=store, now=delivery.received_at)\n"
            "        return _answer(HTTPStatus.ACCEPTED)\n"
        ),
        test="tests/web/test_deliveries.py::test_says_when_it_cannot_store",
    ),
    Mutation(
        name="an endpoint that ends with a process that could not open the store",
        file="receiver/web/app.py",
        old="    store = open_store_late(config, gather=gevent.sleep)\n",
        new="    from receiver.store import open_store\n    store = open_store(config, gather=gevent.sleep)\n",
        test="tests/test_serve.py::test_a_process_of_the_endpoint_may_begin_while_the_store_is_away",
    ),
    Mutation(
        name="acknowledged before the commit",
        file="receiver/store/sqlite/writer.py",
        old='                self._connection.execute("COMMIT")\n',
        new="",
        test="tests/store/test_sqlite.py::test_what_was_written_survives_a_kill",
    ),
    Mutation(
        name="a commit that does not wait for the disk",
        file="receiver/store/sqlite/connection.py",
        old="PRAGMA synchronous = FULL",
        new="PRAGMA synchronous = NORMAL",
        test="tests/store/test_sqlite.py::test_every_connection_is_set_up",
    ),
    Mutation(
        name="checked, then inserted, without a lock",
        file="receiver/store/sqlite/writer.py",
        old="        self._take_lock(deadline)\n        try:\n            self._begin(deadline)\n",
        new='        try:\n            self._connection.execute("BEGIN")\n',
        test="tests/store/test_sqlite.py::TestSQLiteStore::test_stores_that_bring_the_same_make_one_event",
    ),
    Mutation(
        name="deduplicated before it is verified",
        file="receiver/inbox.py",
        old="    provider = source.provider\n    trust = _verified(source, delivery, store, now)\n",
        new=(
            "    provider = source.provider\n"
            "    seen = provider.__dict__.setdefault('seen', set())\n"
            "    if delivery.body in seen:\n"
            "        return Receipt(delivery_id=0, repeated=True)\n"
            "    seen.add(delivery.body)\n"
            "    trust = _verified(source, delivery, store, now)\n"
        ),
        test="tests/web/test_deliveries.py::test_a_forgery_claims_nothing",
    ),
    Mutation(
        name="the signature checked after the body was parsed and written anew",
        file="receiver/inbox.py",
        old="        return source.provider.verify(delivery, now, keys)\n",
        new=(
            "        import json\n"
            "        rewritten = json.dumps(json.loads(delivery.body), separators=(',', ':')).encode()\n"
            "        return source.provider.verify(replace(delivery, body=rewritten), now, keys)\n"
        ),
        test="tests/web/test_deliveries.py::test_accepts_what_is_as_long_as_it_may_be",
    ),
    Mutation(
        name="no signature needed",
        file="receiver/providers/base.py",
        old="        self.scheme.verify(delivery.headers, delivery.body, secrets, now)\n",
        new="        if delivery.headers.get(self.scheme.header.lower()):\n"
        "            self.scheme.verify(delivery.headers, delivery.body, secrets, now)\n",
        test="tests/web/test_deliveries.py::test_refuses_what_is_not_proven",
    ),
    Mutation(
        name="a signature accepted however old",
        file="receiver/signatures.py",
        old="        if age > tolerance:\n",
        new="        if False:\n",
        test="tests/test_signatures.py::TestTime::test_takes_a_signature_until_it_is_too_old",
    ),
    Mutation(
        name="a hint believed",
        file="receiver/inbox.py",
        old="    if trust is Trust.HINT:\n        return Verdict.HINT\n",
        new="",
        test="tests/test_inbox.py::test_takes_a_hint_without_believing_it",
    ),
    Mutation(
        name="forgotten by a crash after its effect",
        file="receiver/store/sqlite/dispatches.py",
        old="\"UPDATE dispatches SET state = 'pending', due_at = ?, token = NULL, leased_until = NULL WHERE id = ?\"",
        new="\"UPDATE dispatches SET state = 'done', due_at = ?, token = NULL, leased_until = NULL WHERE id = ?\"",
        test="tests/test_engine.py::test_runs_again_what_a_dead_worker_left",
    ),
    Mutation(
        name="run again while it still runs",
        file="receiver/store/sqlite/dispatches.py",
        old="WHERE state = 'running' AND leased_until < ?",
        new="WHERE state = 'running' AND ? > ''",
        test="tests/store/test_sqlite.py::TestSQLiteStore::test_frees_no_other_with_it",
    ),
    Mutation(
        name="another idempotency key for each attempt",
        file="receiver/store/sqlite/dispatches.py",
        old="            started_at = :now, leased_until = :until, attempt_count = attempt_count + 1\n",
        new=(
            "            started_at = :now, leased_until = :until, attempt_count = attempt_count + 1,\n"
            "            idempotency_key = lower(hex(randomblob(16)))\n"
        ),
        test="tests/handlers/test_forward.py::TestInTheEngine::test_sends_the_same_id_until_it_is_done",
    ),
    Mutation(
        name="the order taken for granted",
        file="receiver/models.py",
        old="    if known is None or told is None or not known.terminal:\n        return Standing.CURRENT\n",
        new="    return Standing.CURRENT\n",
        test="tests/store/test_sqlite.py::TestSQLiteStore::test_says_how_an_event_stands_to_its_job",
    ),
    Mutation(
        name="secret headers kept",
        file="receiver/masking.py",
        old="    return {name: MASK if name in _SECRET_HEADERS else value for name, value in headers.items()}\n",
        new="    return dict(headers)\n",
        test="tests/test_inbox.py::test_keeps_no_header_that_may_be_secret",
    ),
    Mutation(
        name="URLs logged whole",
        file="receiver/logs.py",
        old='    return mask_urls(value) if isinstance(value, str) and "://" in value else value\n',
        new="    return value\n",
        test="tests/test_logs.py::test_of_a_url_says_only_the_host",
    ),
    Mutation(
        name="a key kept and shown in what a provider quotes",
        file="receiver/masking.py",
        old="            text = text.replace(secret, MASK)\n",
        new="            pass\n",
        test="tests/security/test_secrets.py::test_no_secret_is_kept_logged_or_shown[sqlite]",
    ),
    Mutation(
        name="an address checked, and then looked up again",
        file="receiver/outbound/network.py",
        old="        return _Stream(self._tcp.connect_tcp(addresses[-1], port, _left(timeout, at_most=_CONNECT)))\n",
        new="        return _Stream(self._tcp.connect_tcp(host, port, _left(timeout, at_most=_CONNECT)))\n",
        test="tests/outbound/test_addresses.py::TestAddresses::test_looks_a_name_up_once",
    ),
]


def main() -> int:
    """Exit status 0 if every mutation is noticed, and nothing else is noticed."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = _copy(Path(folder) / "tree")
        passed = _pytest(tree, *dict.fromkeys(mutation.test for mutation in MUTATIONS))
        if passed.returncode != 0:
            print(passed.stdout[-3000:], "The tests do not pass without a mutation, either.", sep="\n")  # noqa: T201
            return 1
        unnoticed = [mutation for mutation in MUTATIONS if not _is_noticed(tree, mutation)]
    print(f"{len(MUTATIONS) - len(unnoticed)} of {len(MUTATIONS)} mutations are noticed.")  # noqa: T201
    return 1 if unnoticed else 0


def _is_noticed(tree: Path, mutation: Mutation) -> bool:
    file = tree / mutation.file
    text = file.read_text("utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.name}: its text is not in {mutation.file}, or more than once; write it anew")
    file.write_text(text.replace(mutation.old, mutation.new), "utf-8")
    try:
        status = _pytest(tree, mutation.test).returncode
    except subprocess.TimeoutExpired:
        status = None
    finally:
        file.write_text(text, "utf-8")
    told = {_TESTS_FAILED: "noticed by", None: "took too long in"}.get(status, f"NOT NOTICED (status {status}) by")
    print(f"{mutation.name}: {told} {mutation.test}", flush=True)  # noqa: T201
    return status == _TESTS_FAILED


def _copy(tree: Path) -> Path:
    """The checkout without what was made in it, so that packages are found there and not where they are installed."""
    made = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*.db*")
    shutil.copytree(ROOT, tree, ignore=made)
    (tree / "receiver_handlers").symlink_to("handlers")
    (tree / "receiver_deploy").symlink_to("deploy")
    return tree


def _pytest(tree: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_MINUTES * 60,
    )


if __name__ == "__main__":
    sys.exit(main())
