"""Run a program for every event: the event as JSON on its standard input, the key facts in its environment.

Its exit status decides: 0 is done, 75 ("temporary failure") tries again, any other of 64 to 78 gives up, as these
numbers mean in `sysexits.h`; everything else tries again. No shell comes near it, and what it started ends with it.
"""

import errno
import json
import os
import re
import select
import selectors
import signal
import subprocess
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Annotated, Any

from pydantic import BeforeValidator, SecretStr, field_validator

from receiver import Context, Done, Event, HandlerSettings, PermanentError, Router, clock
from receiver.facts import facts, texts
from receiver.masking import mask_values
from receiver.units import Duration, Size

_PASSED_ON = ("PATH", "HOME", "LANG", "TZ")
_GIVE_UP = range(64, 79)
# Linux takes no variable of 128 kB, and the program would not start; an output may be a `data:` URL of any length.
_LONGEST_FACT = 32_000
_ERROR_LINES = 10
_LONGEST_ERROR = 2000
_CHUNK = 64 * 2**10
_LOOK_EVERY = 0.02
# How long what was said before the end may take to arrive: a process that left the group may hold the pipe for ever.
_LAST_WORDS = 1.0
_CANNOT_RUN = {
    errno.EACCES,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOEXEC,
    errno.ENOTDIR,
    errno.EPERM,
}

_VARIABLES = {
    "RECEIVER_EVENT_ID": "event",
    "RECEIVER_SOURCE": "source",
    "RECEIVER_TYPE": "type",
    "RECEIVER_JOB": "job",
    "RECEIVER_KIND": "kind",
    "RECEIVER_STATUS": "status",
    "RECEIVER_OUTPUT": "output_url",
    "RECEIVER_ATTEMPT": "attempt",
    "RECEIVER_IDEMPOTENCY_KEY": "idempotency_key",
}


def _no_string(value: object) -> object:
    if isinstance(value, str):
        raise ValueError('write a list, such as command = ["python3", "scripts/done.py", "--quiet"]; no shell reads it')
    return value


class Settings(HandlerSettings):
    """`[handlers.command]`: what is run, where, with what, and for how long."""

    command: Annotated[tuple[str, ...], BeforeValidator(_no_string)]
    """The program and its arguments, as a list. A program with a slash in it is relative to the configuration file."""
    directory: str = "."
    """Where it runs, relative to the configuration file."""
    environment: Mapping[str, SecretStr] = {}
    """Variables it gets. Of Receiver's own it gets only PATH, HOME, LANG and TZ."""
    run_timeout: Duration = timedelta(minutes=4)
    """How long it may run before it is asked to end (SIGTERM). Less than `timeout`, or that is what it gets."""
    grace: Duration = timedelta(seconds=5)
    """How long it may then take, before it and whatever it started are killed (SIGKILL)."""
    max_output: Size = 64_000
    """How much is kept of what it writes, of each of standard output and standard error: the end of it."""

    @field_validator("command")
    @classmethod
    def _can_be_run(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command or not command[0]:
            raise ValueError("name a program, and after it its arguments")
        if any("\0" in argument for argument in command):
            raise ValueError("no argument can hold a zero byte")
        return command

    @field_validator("environment")
    @classmethod
    def _can_be_set(cls, environment: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, value in environment.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII):
                raise ValueError("a variable's name has only letters, digits and _, and begins with no digit")
            if name in _VARIABLES:
                raise ValueError(f"{name} tells about the event; choose another name")
            if "\0" in value.get_secret_value():
                raise ValueError(f"{name} cannot hold a zero byte")
        return environment


router = Router(settings=Settings)


class ProgramFailed(Exception):
    """The program did not do its work, and may if it is tried again."""


@router.on()
def command(event: Event, context: Context) -> Done | None:
    """Run the program, and take its exit status for an answer."""
    settings: Settings = context.settings
    process = _started(settings, _environment(settings, event, context), context.table)
    ended = _run(process, _described(event, context), settings, _time_limit(settings, context))
    secrets = _secrets(settings, event)
    if ended.status == 0 and ended.in_time:
        return _result(mask_values(_text(ended.output), secrets))
    told = ended.told + _last_lines(mask_values(_text(ended.errors), secrets))
    if ended.status in _GIVE_UP and ended.status != os.EX_TEMPFAIL and ended.in_time:
        raise PermanentError(told)
    raise ProgramFailed(told)


def _environment(settings: Settings, event: Event, context: Context) -> dict[str, str]:
    """Little of our own: API keys are in there."""
    told = {
        **texts(event, context.job),
        "attempt": str(context.attempt),
        "idempotency_key": context.idempotency_key,
    }
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **{name: value.get_secret_value() for name, value in settings.environment.items()},
        **{name: _fact(told[fact]) for name, fact in _VARIABLES.items()},
    }


def _fact(text: str) -> str:
    """Text that a variable can hold; what is too long for one is only in the event."""
    # JSON has half characters and zero bytes; the environment has neither.
    text = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return text if len(text) <= _LONGEST_FACT else ""


def _described(event: Event, context: Context) -> bytes:
    """The event as one line of JSON."""
    told = {
        **facts(event, context.job),
        "key": event.key,
        "data": dict(event.data),
        "attempt": context.attempt,
        "idempotency_key": context.idempotency_key,
    }
    return json.dumps(told).encode() + b"\n"


def _time_limit(settings: Settings, context: Context) -> float:
    """So much that there is time left to end it, before the attempt itself is over and nobody listens any more."""
    if context.deadline is None:
        return settings.run_timeout.total_seconds()
    left = context.deadline - clock.now()
    return min(settings.run_timeout, max(left - 2 * settings.grace, left / 2)).total_seconds()


def _started(settings: Settings, environment: Mapping[str, str], table: str) -> subprocess.Popen[bytes]:
    """The program, at the head of a session of its own: whatever it starts can be ended with it."""
    program, *arguments = settings.command
    directory = os.path.abspath(settings.directory)
    try:
        return subprocess.Popen(  # noqa: S603 - a list that the configuration gives, and no shell
            [os.path.abspath(program) if "/" in program else program, *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        if error.errno not in _CANNOT_RUN:
            raise
        if error.filename == directory:
            told = f"directory: {settings.directory} cannot be entered: {error.strerror}; make it, or set another"
            raise PermanentError(f"{table} {told}") from None
        told = f"command: {program} cannot be run: {error.strerror}; name a program that is there and executable"
        raise PermanentError(f"{table} {told} (the first line of a script names one, too)") from None


@dataclass(frozen=True)
class _Ended:
    status: int
    """Negative where a signal ended it."""
    in_time: bool
    ran: float
    output: bytes
    errors: bytes

    @property
    def told(self) -> str:
        if not self.in_time:
            return f"was ended after {self.ran:.3g} s; if it needs longer, raise run_timeout and timeout"
        if self.status < 0:
            return f"ended by signal {-self.status} ({signal.strsignal(-self.status)})"
        return f"exit status {self.status}"


def _run(process: subprocess.Popen[bytes], told: bytes, settings: Settings, limit: float) -> _Ended:
    output, errors = _Tail(settings.max_output), _Tail(settings.max_output)
    # Also when the worker ends before the program does: this thread is then not asked.
    kill = weakref.finalize(process, _signal_all, process.pid, signal.SIGKILL)
    began = time.monotonic()
    with process, selectors.DefaultSelector() as pipes:
        try:
            _attend(pipes, process.stdin, selectors.EVENT_WRITE, _Input(told))
            _attend(pipes, process.stdout, selectors.EVENT_READ, output)
            _attend(pipes, process.stderr, selectors.EVENT_READ, errors)
            in_time = _talk(pipes, lambda: _has_ended(process), limit)
            ran = time.monotonic() - began
            if not in_time:
                _signal_all(process.pid, signal.SIGTERM)
                _talk(pipes, lambda: _has_ended(process) and not pipes.get_map(), settings.grace.total_seconds())
        finally:
            # Also what it left running. Its number is not given to others before `wait`.
            kill()
        status = process.wait()
        _talk(pipes, lambda: not pipes.get_map(), _LAST_WORDS)
    return _Ended(status, in_time, ran, bytes(output.kept), bytes(errors.kept))


def _attend(pipes: selectors.BaseSelector, pipe: IO[bytes] | None, events: int, step: Callable[[Any], bool]) -> None:
    if pipe is not None:
        pipes.register(pipe, events, step)


def _talk(pipes: selectors.BaseSelector, enough: Callable[[], bool], limit: float) -> bool:
    """Write and read whatever can be. Whether it was enough in time; pipes that have ended are closed."""
    deadline = time.monotonic() + limit
    while not enough():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        for key, _ in pipes.select(min(left, _LOOK_EVERY)):
            pipe: Any = key.fileobj
            if not key.data(pipe):
                pipes.unregister(pipe)
                pipe.close()
    return True


class _Input:
    """Writes what the program is told, as it reads it."""

    def __init__(self, told: bytes) -> None:
        self._left = memoryview(told)

    def __call__(self, pipe: IO[bytes]) -> bool:
        try:
            # So little is taken at once, as soon as anything is.
            written = pipe.write(self._left[: select.PIPE_BUF])
        except BrokenPipeError:
            # Not every program wants to know.
            return False
        self._left = self._left[written:]
        return bool(self._left)


class _Tail:
    """Reads all that the program says, and keeps the end of it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.kept = bytearray()

    def __call__(self, pipe: IO[bytes]) -> bool:
        said = pipe.read(_CHUNK)
        self.kept += said
        del self.kept[: -self._most]
        return bool(said)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Without taking note of it: until then its number, and so its group's, is its own."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_all(group: int, number: signal.Signals) -> None:
    # None may be left; those who became another user cannot be told.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _secrets(settings: Settings, event: Event) -> list[str]:
    """What the program was given, and might say, that must not be kept."""
    queries = [output.url.partition("?")[2] for output in event.outputs]
    return [*(value.get_secret_value() for value in settings.environment.values()), *queries]


def _text(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip()


def _last_lines(text: str) -> str:
    lines = "\n".join(text.splitlines()[-_ERROR_LINES:])[-_LONGEST_ERROR:]
    return f"\n{lines}" if lines else ""


def _result(text: str) -> Done | None:
    """The JSON object in the last line, or else all that was said."""
    if not text:
        return None
    try:
        told = json.loads(text.rpartition("\n")[2])
    except (ValueError, RecursionError):
        told = None
    return Done(told if isinstance(told, dict) else {"output": text})
