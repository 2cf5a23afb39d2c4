"""A stand-in for CreativeAI's API on loopback: takes jobs, finishes them, posts signed webhooks, and loses some.

What a job shall suffer is told in the request that creates it, in the header `X-Sandbox`: any of `lost` (its webhook
is never sent), `doubled` (it is sent twice) and `failed` (the job fails), separated by commas.
"""

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
from flask import Flask, Response, abort, jsonify, request
from werkzeug.serving import make_server

from receiver import clock
from receiver.models import Delivery
from receiver.providers.creativeai import CreativeAI

_log = logging.getLogger(__name__)

_LOOK_EVERY = 0.05
_ATTEMPTS_AT = (0.0, 5.0, 30.0)
_OBJECTS = {"video": "video.generation", "batch": "video.batch"}
_SUFFIXES = {"image": "png", "voice": "mp3"}
_PREFIXES = {"video": "vgen", "batch": "video_batch", "image": "img", "voice": "voice", "compose": "comp"}


def webhook_body(
    kind: str, job_id: str, *, status: str = "completed", base_url: str = "https://cdn.creativeai.run"
) -> bytes:
    """The body CreativeAI would post for a job that ended; a batch has three clips."""
    return json.dumps(_webhook(kind, job_id, status, base_url, [f"{job_id}_{number}" for number in (1, 2, 3)])).encode()


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The headers CreativeAI would post it with."""
    delivery = Delivery(source="sandbox", body=body, received_at=clock.now())
    return {"Content-Type": "application/json", **CreativeAI().sign(delivery, secret)}


@dataclass
class _Job:
    id: str
    kind: str
    prompt: str
    webhook_url: str | None
    ends_at: datetime
    fate: frozenset[str]
    clips: list[str] = field(default_factory=list)
    created_at: datetime = field(default_factory=clock.now)

    @property
    def status(self) -> str:
        if clock.now() < self.ends_at:
            return "processing"
        return "failed" if "failed" in self.fate else "completed"


class Sandbox:
    """Serves on loopback in threads of this process; a context manager."""

    def __init__(self, *, secret: str, api_key: str, duration: timedelta = timedelta(seconds=2), port: int = 0) -> None:
        """`duration` is how long a job takes."""
        self._secret = secret
        self._api_key = api_key
        self._duration = duration
        self._jobs: dict[str, _Job] = {}
        self._numbers = count(1)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._server = make_server("127.0.0.1", port, self._app(), threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.polls: list[str] = []
        """The paths of the status calls answered, in order."""

    def __enter__(self) -> "Sandbox":
        self._run(lambda: self._server.serve_forever(poll_interval=_LOOK_EVERY))
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()

    def _app(self) -> Flask:
        app = Flask("receiver.sandbox")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)

        @app.before_request
        def authenticate() -> None:
            if (
                not request.path.startswith("/output/")
                and request.headers.get("Authorization") != f"Bearer {self._api_key}"
            ):
                abort(_error(401, "authentication_error", "Invalid API key"))

        @app.post("/v1/video/generations")
        @app.post("/v1/video/generate")
        def create_video() -> tuple[Response, int]:
            return self._created("video")

        @app.post("/v1/video/generations/batch")
        def create_batch() -> tuple[Response, int]:
            return self._created("batch")

        @app.post("/api/v1/model/generateImage")
        def create_image() -> tuple[Response, int]:
            return self._created("image")

        @app.post("/api/generate/<kind>")
        def create_other(kind: str) -> tuple[Response, int]:
            return self._created(kind)

        @app.get("/v1/video/generations/batch/<job_id>")
        def batch_status(job_id: str) -> Response:
            return self._status(job_id, {"batch"})

        @app.get("/v1/video/generations/<job_id>")
        def video_status(job_id: str) -> Response:
            return self._status(job_id, {"video"})

        @app.get("/api/v1/model/prediction/<job_id>")
        def image_status(job_id: str) -> Response:
            return self._status(job_id, {"image"})

        @app.get("/api/generate/status/<job_id>")
        def other_status(job_id: str) -> Response:
            return self._status(job_id, {"voice", "compose", "chart-to-video", "background-removal"})

        @app.get("/v1/models")
        def models() -> Response:
            return jsonify(data=[{"id": "auto", "object": "model"}])

        @app.get("/output/<name>")
        def output(name: str) -> Response:
            kinds = {"mp4": "video/mp4", "png": "image/png", "mp3": "audio/mpeg"}
            return Response(f"what {name} would hold\n" * 100, mimetype=kinds.get(name.rpartition(".")[2], "video/mp4"))

        return app

    def _created(self, kind: str) -> tuple[Response, int]:
        body = request.get_json()
        fate = frozenset(filter(None, request.headers.get("X-Sandbox", "").split(",")))
        job = self._start(kind, body.get("prompt", body.get("text", "")), body.get("webhook_url"), fate)
        for prompt in body.get("prompts", []) if kind == "batch" else []:
            job.clips.append(self._start("video", prompt, None, frozenset()).id)
        self._run(lambda: self._call_back(job))
        return jsonify(_polled(job, self)), 202

    def _start(self, kind: str, prompt: str, webhook_url: str | None, fate: frozenset[str]) -> _Job:
        job_id = f"{_PREFIXES.get(kind, kind.split('-')[0])}_{next(self._numbers):04d}"
        job = _Job(job_id, kind, prompt, webhook_url, clock.now() + self._duration, fate)
        self._jobs[job_id] = job
        return job

    def _status(self, job_id: str, kinds: set[str]) -> Response:
        self.polls.append(request.path)
        job = self._jobs.get(job_id)
        if job is None or job.kind not in kinds:
            abort(_error(404, "not_found", "No such generation"))
        return jsonify(_polled(job, self))

    def _call_back(self, job: _Job) -> None:
        if job.webhook_url is None or "lost" in job.fate:
            return
        self._stop.wait((job.ends_at - clock.now()).total_seconds())
        body = json.dumps(_webhook(job.kind, job.id, job.status, self.url, job.clips)).encode()
        for _ in range(2 if "doubled" in job.fate else 1):
            self._deliver(job.webhook_url, body)

    def _deliver(self, url: str, body: bytes) -> None:
        waited = 0.0
        for attempt_at in _ATTEMPTS_AT:
            if self._stop.wait(attempt_at - waited):
                return
            waited = attempt_at
            try:
                if httpx.post(url, content=body, headers=signed(body, self._secret), timeout=10).is_success:
                    return
            except httpx.HTTPError as error:
                _log.info("webhook not delivered", extra={"error": str(error)})

    def _run(self, target: Any) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()


def _webhook(kind: str, job_id: str, status: str, base_url: str, clips: list[str]) -> Mapping[str, Any]:
    ended = clock.to_text(datetime.now(UTC))
    if kind == "batch":
        rows = [
            {
                "id": clip,
                "prompt": "",
                "status": "completed",
                "output_url": _output(base_url, "video", clip),
                "credits": 30,
            }
            for clip in clips
        ]
        return {
            "batch_id": job_id,
            "object": "video.batch",
            "status": status,
            "total_jobs": len(clips),
            "completed": len(clips),
            "failed": 0,
            "jobs": rows,
            "total_credits": 30 * len(clips),
            "completed_at": ended,
        }
    data: dict[str, Any] = {
        "id": job_id,
        "object": _OBJECTS.get(kind, f"{kind}.generation"),
        "status": status,
        "model": "auto",
        "output_url": _output(base_url, kind, job_id) if status == "completed" else None,
        "credits": 30 if status == "completed" else 0,
        "completed_at": ended,
    }
    if status == "failed":
        data["error"] = {
            "message": "Generation timed out after 10 minutes",
            "type": "server_error",
            "code": "generation_timeout",
        }
        data["error_message"] = data["error"]["message"]
    return data


def _polled(job: _Job, sandbox: Sandbox) -> Mapping[str, Any]:
    """The shape of a create and of a status answer; the shared and the native routes shout their statuses."""
    status = job.status
    if job.kind == "batch":
        rows = [_polled(sandbox._jobs[clip], sandbox) for clip in job.clips]
        counts = {
            word: sum(row["status"] == word for row in rows)
            for word in ("completed", "failed", "pending", "processing")
        }
        return {"batch_id": job.id, "total_jobs": len(rows), **counts, "jobs": rows}
    ended = status != "processing"
    failed = {"message": "Generation timed out after 10 minutes", "type": "server_error", "code": "generation_failed"}
    return {
        "id": job.id,
        "status": status if job.kind == "video" else status.upper(),
        "prompt": job.prompt,
        "output_url": _output(sandbox.url, job.kind, job.id) if status == "completed" else None,
        "error": failed if status == "failed" else None,
        "credits": 30,
        "created_at": clock.to_text(job.created_at),
        "completed_at": clock.to_text(job.ends_at) if ended else None,
    }


def _output(base_url: str, kind: str, job_id: str) -> str:
    return f"{base_url}/output/{job_id}.{_SUFFIXES.get(kind, 'mp4')}"


def _error(status: int, code: str, text: str) -> Response:
    answer = jsonify(error={"code": code, "message": text, "type": code})
    answer.status_code = status
    return answer
