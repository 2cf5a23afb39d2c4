"""CreativeAI's API: three families of routes, each with its own form of answers."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Request, Response, abort, jsonify

from receiver import clock
from receiver.models import Status
from receiver.sandbox.api import Api, body, text, wished, with_all
from receiver.sandbox.creativeai_webhooks import CREDITS, REASON, forged, genuine, output_url
from receiver.sandbox.jobs import Job, Jobs
from receiver.sandbox.webhooks import Webhook, Webhooks

_NAME = "creativeai"
_MOST_CLIPS = 20
_WORDS = {
    Status.QUEUED: "pending",
    Status.RUNNING: "processing",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
}
_PREFIXES = {
    "video": "vgen",
    "batch": "video_batch",
    "image": "img",
    "voice": "voice",
    "compose": "comp",
    "chart-to-video": "chart",
    "background-removal": "bg",
}
_SHARED = ("voice", "compose", "chart-to-video", "background-removal")
_ERRORS = {
    400: ("invalid_request_error", "invalid_request_error"),
    401: ("authentication_error", "authentication_error"),
    404: ("not_found", "invalid_request_error"),
    429: ("rate_limit_exceeded", "rate_limit_exceeded"),
    500: ("internal_error", "server_error"),
    503: ("provider_unavailable", "server_error"),
}
_MODELS = ("auto", "kling-o3-pro-t2v", "kling-o3-pro-i2v", "seedance-t2v", "seedream-3.0")


def api(jobs: Jobs, files: str, webhooks: Webhooks, *, secret: str) -> Api:
    """The API; `files` is where results are served, `secret` what webhooks are signed with."""
    routes = Blueprint(_NAME, __name__)

    @routes.post("/v1/video/generations")
    @routes.post("/v1/video/generate")
    def create_video() -> tuple[Response, int]:
        asked = body()
        if not asked.get("prompt") and not asked.get("image_url"):
            abort(400, "prompt is required")
        return jsonify(_created_video(expected(start("video", asked)))), 202

    @routes.post("/v1/video/generations/batch")
    def create_batch() -> tuple[Response, int]:
        asked = body()
        clips = _clips_asked(asked.get("jobs") or asked.get("prompts"))
        job = start("batch", asked)
        job.consist_of([start("video", clip) for clip in clips])
        return jsonify(_created_batch(expected(job))), 202

    @routes.post("/api/v1/model/generateImage")
    def create_image() -> tuple[Response, int]:
        job = expected(start("image", body("prompt")))
        return jsonify(id=job.id, model=_model(job), status="PENDING", outputs=[], created_at=_created_at(job)), 202

    @routes.post("/api/generate/<kind>")
    def create_other(kind: str) -> tuple[Response, int]:
        if kind not in _SHARED:
            abort(404)
        job = expected(start(kind, body("text") if kind == "voice" else body()))
        facts = {"id": job.id, **_voice(job), "status": "PENDING", "output_url": None, "credits": CREDITS[kind]}
        return jsonify(**facts, created_at=_created_at(job)), 202

    @routes.get("/v1/video/generations/<job_id>")
    def video(job_id: str) -> Response:
        return jsonify(_video(known(job_id, "video"), files))

    @routes.get("/v1/video/generations/batch/<job_id>")
    def batch(job_id: str) -> Response:
        return jsonify(_batch(known(job_id, "batch"), files))

    @routes.get("/api/v1/model/prediction/<job_id>")
    def image(job_id: str) -> Response:
        return jsonify(_native(known(job_id, "image"), files))

    @routes.get("/api/generate/status/<job_id>")
    def other(job_id: str) -> Response:
        return jsonify(_shared(known(job_id, *_SHARED), files))

    @routes.get("/v1/models")
    def models() -> Response:
        return jsonify(object="list", data=[{"id": name, "object": "model"} for name in _MODELS])

    def start(kind: str, asked: Mapping[str, Any]) -> Job:
        return jobs.start(_NAME, kind, asked, id=f"{_PREFIXES[kind]}_{{}}", fates=wished())

    def expected(job: Job) -> Job:
        url = job.asked.get("webhook_url")
        if isinstance(url, str) and url:
            letters = partial(genuine, job, files, secret), partial(forged, job, files)
            webhooks.expect(Webhook(job, url, *letters))
        return job

    def known(job_id: str, *kinds: str) -> Job:
        return jobs.find(_NAME, job_id, *kinds) or abort(404, "No such generation")

    return Api(
        name=_NAME,
        prefix="/creativeai",
        routes=routes,
        refuse=_refuse,
        is_poll=_is_poll,
        sends_webhooks=True,
        tells_limits=True,
    )


def _is_poll(asked: Request) -> bool:
    return asked.method == "GET" and not asked.path.endswith("/v1/models")


def _refuse(status: int, message: str) -> Response:
    code, kind = _ERRORS.get(status, _ERRORS[400])
    param = {"param": message.partition(" ")[0]} if message.endswith(" is required") else {}
    answer = jsonify(error={"code": code, "message": message, "type": kind, **param})
    answer.status_code = status
    return answer


def _clips_asked(rows: object) -> list[dict[str, Any]]:
    """What the clips of a batch are made of; a prompt may stand for all of one."""
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MOST_CLIPS:
        abort(400, f"a batch has 1 to {_MOST_CLIPS} prompts")
    return [with_all(row if isinstance(row, dict) else {"prompt": row}, "prompt") for row in rows]


def _created_video(job: Job) -> Mapping[str, Any]:
    """The documentation shows a new job at work at once, though its status may then be told as pending."""
    if "image_url" in job.asked:
        return {**_facts(job), "status": "processing", "output_url": None, "created_at": _created_at(job)}
    return {
        **_facts(job),
        "status": "processing",
        "failover_used": False,
        "output_url": None,
        "webhook_url": job.asked.get("webhook_url"),
        "created_at": _created_at(job),
    }


def _created_batch(job: Job) -> Mapping[str, Any]:
    rows = [
        {"id": clip.id, "prompt": clip.asked["prompt"], "status": "pending", "credits": CREDITS["video"]}
        for clip in job.clips
    ]
    charged = sum(row["credits"] for row in rows)
    return {"batch_id": job.id, "total_jobs": len(rows), "jobs": rows, "credits_charged": charged}


def _video(job: Job, files: str) -> Mapping[str, Any]:
    status = job.stage.status
    told = {
        **_facts(job),
        "status": _WORDS[status],
        "output_url": output_url(job.kind, job.id, files) if status is Status.SUCCEEDED else None,
        "error": _error() if status is Status.FAILED else None,
        "failover_used": False,
        "created_at": _created_at(job),
        "completed_at": clock.to_text(job.ended_at) if status.terminal else None,
    }
    left_out = {"failover_used", "created_at"} if "image_url" in job.asked and status.terminal else set()
    return {name: value for name, value in told.items() if name not in left_out}


def _facts(job: Job) -> Mapping[str, Any]:
    """What every answer about a video begins with."""
    image = {"image_url": job.asked["image_url"]} if "image_url" in job.asked else {}
    return {
        "id": job.id,
        "object": "video.generation",
        "model": _model(job),
        "model_actual": "kling-o3-pro-i2v" if image else "kling-o3-pro-t2v",
        "prompt": text(job.asked, "prompt"),
        **image,
        "credits": CREDITS["video"],
    }


def _batch(job: Job, files: str) -> Mapping[str, Any]:
    """Counts, but no status."""
    rows = [_clip(clip, files) for clip in job.clips]
    counts = {word: sum(row["status"] == word for row in rows) for word in _WORDS.values()}
    return {"batch_id": job.id, "total_jobs": len(rows), **counts, "jobs": rows}


def _clip(clip: Job, files: str) -> Mapping[str, Any]:
    status = clip.stage.status
    return {
        "id": clip.id,
        "prompt": clip.asked["prompt"],
        "image_url": clip.asked.get("image_url"),
        "status": _WORDS[status],
        "output_url": output_url("video", clip.id, files) if status is Status.SUCCEEDED else None,
        "error_message": REASON if status is Status.FAILED else None,
        "credits": 0 if status is Status.FAILED else CREDITS["video"],
    }


def _native(job: Job, files: str) -> Mapping[str, Any]:
    """Not documented; in the form of the vendor whose paths these are."""
    status = job.stage.status
    return {
        "id": job.id,
        "model": _model(job),
        "status": _WORDS[status].upper(),
        "outputs": [output_url(job.kind, job.id, files)] if status is Status.SUCCEEDED else [],
        "error": REASON if status is Status.FAILED else None,
        "created_at": _created_at(job),
    }


def _shared(job: Job, files: str) -> Mapping[str, Any]:
    status = job.stage.status
    return {
        "id": job.id,
        **_voice(job),
        "status": _WORDS[status].upper(),
        "output_url": output_url(job.kind, job.id, files) if status is Status.SUCCEEDED else None,
        **({"error": _error()} if status is Status.FAILED else {}),
        "credits": CREDITS[job.kind],
        "created_at": _created_at(job),
        "completed_at": clock.to_text(job.ended_at) if status.terminal else None,
    }


def _voice(job: Job) -> Mapping[str, Any]:
    """What only speech tells."""
    if job.kind != "voice":
        return {}
    said = {"voice": text(job.asked, "voice", "alloy"), "language": text(job.asked, "language", "en"), "speed": 1.0}
    return {"type": "VOICE", "model": "creative-voice", "parameters": said}


def _model(job: Job) -> str:
    return text(job.asked, "model", "seedream-3.0" if job.kind == "image" else "auto")


def _created_at(job: Job) -> str:
    return clock.to_text(job.created_at)


def _error() -> Mapping[str, str]:
    return {"message": REASON, "type": "server_error", "code": "generation_failed"}
