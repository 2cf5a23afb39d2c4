"""Run one dispatch in a process of its own, which can be ended whatever the handler does.

The dispatch goes in over a pipe, the outcome comes out in a file that has no name. The process loads the configuration
and the handler by itself, which takes about half a second.
"""

import contextlib
import ctypes
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from receiver import executor, logs, plugins, tracing
from receiver.config import load
from receiver.models import Claim
from receiver.outbound import HandlerClient
from receiver.outcomes import Decision, Outcome
from receiver.refresh import refresher
from receiver.routing import Handler
from receiver.store import open_store

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def attempt(claim: Claim, handler: Handler, *, config: Path | None) -> Outcome:
    """What the handler makes of the event in another process, with the configuration in this file.

    At the end of the handler's time the process, and all it has started, are killed.
    """
    given = pickle.dumps((claim, tracing.traceparent()))
    with tempfile.TemporaryFile() as told:
        command = [sys.executable, "-m", "receiver.isolation", str(config or ""), str(told.fileno())]
        with subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, pass_fds=[told.fileno()], start_new_session=True
        ) as process:
            try:
                process.communicate(given, timeout=handler.timeout.total_seconds())
            except subprocess.TimeoutExpired:
                return executor.overran(claim, handler)
            finally:
                # What it has started may live on.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        told.seek(0)
        outcome = _outcome(told.read())
    return outcome or executor.failed(
        claim, handler, f"its process ended without an outcome: {_how(process.returncode)}"
    )


def main(config_file: str, descriptor: str) -> None:
    """What the other process does."""
    # A worker that dies takes its handlers along: another will run the dispatch again.
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    claim: Claim
    claim, step = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - from the worker that started us
    tracing.go_on(step)
    config = load(config_file or None)
    logs.configure(config.log_format)
    [handler] = [handler for handler in plugins.handlers(config) if handler.name == claim.handler]
    source = plugins.sources(config).get(claim.event.source)
    outcome = executor.run(
        claim,
        handler,
        access=source.access if source else None,
        client=HandlerClient(),
        refresh=refresher(claim, source, lambda: contextlib.closing(open_store(config))),
    )
    with open(int(descriptor), "wb") as told:
        told.write(
            json.dumps(
                {
                    "decision": outcome.decision,
                    "wait": outcome.wait.total_seconds(),
                    "error": outcome.error,
                    "result": outcome.result,
                    "failed": outcome.failed,
                }
            ).encode()
        )


def _outcome(told: bytes) -> Outcome | None:
    """The outcome that was told; None if the process died before."""
    try:
        row = json.loads(told)
        return Outcome(
            decision=Decision(row["decision"]),
            wait=timedelta(seconds=row["wait"]),
            error=row["error"],
            result=row["result"],
            failed=row["failed"],
        )
    except (ValueError, KeyError, TypeError):
        return None


def _how(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


if __name__ == "__main__":
    main(*sys.argv[1:])
