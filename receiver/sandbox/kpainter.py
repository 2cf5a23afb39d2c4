"""KPainter's API in both of its contracts: creations of the types `video` and `app` follow the second one.

In the first, a creation has a job to ask about, both with numbers for ids; in the second it is asked about itself.
"""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Request, Response, abort, jsonify, request

from receiver.models import Status
from receiver.sandbox.api import Api, bearer, body, text, wished
from receiver.sandbox.jobs import Job, Jobs

_NAME = "kpainter"
_PREFIX = "/kpainter/openapi/v1"
_FIRST, _SECOND = "contract 1", "contract 2"
_SECOND_TYPES = ("video", "app")
_TYPES = ("explainer_video", "slides_video", "vector_animation", "slide_deck", "image", "interactive_lesson")
_ALIASES = {"knowledge_video": "explainer_video", "web_app": "interactive_lesson"}
_SUFFIXES = {"image": "png", "slide_deck": "pdf", "interactive_lesson": "html", "app": "html"}
_JOB_WORDS = {
    Status.QUEUED: "queued",
    Status.RUNNING: "processing",
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
}
_LIST_WORDS = {**_JOB_WORDS, Status.SUCCEEDED: "ready"}
_CREATION_WORDS = {
    Status.QUEUED: "planning",
    Status.RUNNING: "generating",
    Status.SUCCEEDED: "ready",
    Status.FAILED: "failed",
}
_WORKING = "rendering_scenes"
_STEPS = {Status.QUEUED: None, Status.RUNNING: _WORKING, Status.SUCCEEDED: "done", Status.FAILED: _WORKING}
_RESUME = "resume_after_recharge"


def api(jobs: Jobs, files: str) -> Api:
    """The API; `files` is where results are served."""
    routes = Blueprint(_NAME, __name__)

    @routes.get("/me")
    def me() -> Response:
        return jsonify(user_id=1, name="sandbox", credits=1000)

    @routes.get("/catalog")
    def catalog() -> Response:
        return jsonify(content_types=_TYPES, languages=["en", "zh"])

    @routes.get("/capabilities")
    def capabilities() -> Response:
        return jsonify(types=_SECOND_TYPES)

    @routes.post("/creations")
    def create() -> Response:
        asked = body("type", "prompt")
        kind = text(asked, "type")
        asked["type"] = _ALIASES.get(kind, kind)
        if kind in _SECOND_TYPES:
            return jsonify(_creation(jobs.start(_NAME, _SECOND, asked, id="cr_{}", fates=wished())))
        if asked["type"] not in _TYPES:
            abort(422, f"unknown type {kind}")
        job = jobs.start(_NAME, _FIRST, asked, id="5{}", reference="1{}", fates=wished())
        about = {"job_id": int(job.id), "status": "queued", "progress_pct": 0, "current_step": None}
        return jsonify(creation_id=int(job.reference), type=asked["type"], job=about)

    @routes.get("/creations")
    def creations() -> Response:
        page, size = request.args.get("page", 1, int), request.args.get("page_size", 20, int)
        if page < 1 or not 1 <= size <= 100:
            abort(422, "page starts at 1, page_size is 1 to 100")
        rows = [row for row in map(_listed, reversed(jobs.of(_NAME))) if _wanted(row)]
        return jsonify(items=rows[(page - 1) * size : page * size], total=len(rows), page=page, page_size=size)

    @routes.get("/creations/jobs/<int:job_id>")
    def job(job_id: int) -> Response:
        job = jobs.find(_NAME, str(job_id), _FIRST)
        if job is None or job.id != str(job_id):
            abort(404, "job not found")
        return jsonify(_job(job))

    @routes.get("/creations/<int:creation_id>")
    def result(creation_id: int) -> Response:
        job = jobs.find(_NAME, str(creation_id), _FIRST)
        if job is None or job.reference != str(creation_id):
            abort(404, "creation not found")
        return jsonify(_result(job, files))

    @routes.get("/creations/<creation_id>")
    def creation(creation_id: str) -> Response:
        return jsonify(_creation(known(creation_id)))

    @routes.get("/creations/<creation_id>/outputs")
    def outputs(creation_id: str) -> Response:
        job = known(creation_id)
        if job.stage.status is not Status.SUCCEEDED:
            abort(409, "no usable delivery yet")
        return jsonify(outputs=[_artifact(job, files)])

    @routes.post("/creations/<creation_id>/actions")
    def act(creation_id: str) -> Response:
        job, asked = known(creation_id), body("action", "idempotency_key")
        if asked["action"] != _RESUME or not job.resume():
            abort(409, "this action is not available now")
        return jsonify(_creation(job))

    def known(creation_id: str) -> Job:
        return jobs.find(_NAME, creation_id, _SECOND) or abort(404, "creation not found")

    return Api(name=_NAME, prefix=_PREFIX, routes=routes, refuse=_refuse, is_poll=_is_poll, keys=_keys)


def _keys(asked: Request) -> list[str | None]:
    return [asked.headers.get("X-KGP-Api-Key"), bearer(asked)]


def _is_poll(asked: Request) -> bool:
    return asked.method == "GET" and asked.path.startswith(f"{_PREFIX}/creations/")


def _refuse(status: int, message: str) -> Response:
    """The reason stands in `detail`: as text in the second contract and from the framework, else in an object."""
    second = "/creations/cr_" in request.path or request.url_rule is None
    answer = jsonify(detail=message if second else {"message": message})
    answer.status_code = status
    return answer


def _job(job: Job) -> Mapping[str, Any]:
    stage = job.stage
    error = {"error": {"message": "generation failed"}} if stage.status is Status.FAILED else {}
    return {
        "job_id": int(job.id),
        "creation_id": int(job.reference),
        "status": _JOB_WORDS[stage.status],
        "progress_pct": stage.progress,
        "current_step": _STEPS[stage.status],
        **error,
    }


def _result(job: Job, files: str) -> Mapping[str, Any]:
    artifacts = [_artifact(job, files)] if job.stage.status is Status.SUCCEEDED else []
    return {
        "creation_id": int(job.reference),
        "type": job.asked["type"],
        "main_url": artifacts[0]["url"] if artifacts else None,
        "artifacts": artifacts,
        "scenes": [{"scene_id": "s1", "narration_text": text(job.asked, "prompt")}],
    }


def _creation(job: Job) -> Mapping[str, Any]:
    stage = job.stage
    return {
        "id": job.id,
        "type": job.asked["type"],
        "status": "paused" if stage.paused else _CREATION_WORDS[stage.status],
        "prompt": job.asked["prompt"],
        "progress_pct": stage.progress,
        "has_usable_delivery": stage.status is Status.SUCCEEDED,
        **({"actual_credits": 120} if stage.status is Status.SUCCEEDED else {}),
        "available_actions": [_RESUME] if stage.paused else [],
    }


def _listed(job: Job) -> Mapping[str, Any]:
    if job.kind == _SECOND:
        return _creation(job)
    return {
        "creation_id": int(job.reference),
        "type": job.asked["type"],
        "status": _LIST_WORDS[job.stage.status],
        "prompt": job.asked["prompt"],
    }


def _wanted(row: Mapping[str, Any]) -> bool:
    """Whether a creation is what the filters of the list ask for."""
    same = all(request.args.get(name, row[name]) == row[name] for name in ("type", "status"))
    return same and request.args.get("query", "").lower() in str(row["prompt"]).lower()


def _artifact(job: Job, files: str) -> Mapping[str, Any]:
    suffix = _SUFFIXES.get(job.asked["type"], "mp4")
    return {"kind": "video" if suffix == "mp4" else suffix, "url": f"{files}/{job.id}.{suffix}"}
