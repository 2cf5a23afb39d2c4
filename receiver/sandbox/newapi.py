"""new-api's gateway: many ways to create a task, and two forms of answer, chosen by the path alone."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Request, Response, abort, jsonify, request

from receiver import clock
from receiver.models import Status
from receiver.sandbox.api import Api, body, text, wished, with_all
from receiver.sandbox.files import file
from receiver.sandbox.jobs import Job, Jobs

_NAME = "newapi"
_SUBMIT, _RESULT = "CVSync2AsyncSubmitTask", "CVSync2AsyncGetResult"
_OPENAI_WORDS = {
    Status.QUEUED: "queued",
    Status.RUNNING: "in_progress",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
}
_OWN_WORDS = {
    Status.QUEUED: "QUEUED",
    Status.RUNNING: "IN_PROGRESS",
    Status.SUCCEEDED: "SUCCESS",
    Status.FAILED: "FAILURE",
}
_PLATFORMS = {"videos": "55", "generations": "50", "kling": "50", "jimeng": "51"}
_REASON = "content risk control"
_MODELS = ("sora-2", "kling-v1", "jimeng_t2v_v30", "veo-3.0-generate-001")


def api(jobs: Jobs, files: str) -> Api:
    """The API; `files` is where results are served."""
    routes = Blueprint(_NAME, __name__)

    @routes.post("/v1/videos")
    def create_video() -> Response:
        if request.mimetype == "multipart/form-data":
            sent = {**request.form, **{name: upload.filename for name, upload in request.files.items()}}
            return created("videos", with_all(sent, "model", "prompt"))
        return created("videos", body("model", "prompt"))

    @routes.post("/v1/videos/<task_id>/remix")
    def remix(task_id: str) -> Response:
        return created("videos", {**known(task_id).asked, **body("prompt")})

    @routes.get("/v1/videos/<task_id>")
    def video(task_id: str) -> Response:
        return jsonify(_openai(known(task_id)))

    @routes.get("/v1/videos/<task_id>/content")
    def content(task_id: str) -> Response:
        job = jobs.find(_NAME, task_id) or abort(_invalid(404, "Task not found"))
        status = job.stage.status
        if status is not Status.SUCCEEDED:
            abort(_invalid(400, f"Task is not completed yet, current status: {_OWN_WORDS[status]}"))
        answer = file(f"{job.id}.mp4")
        answer.headers["Cache-Control"] = "public, max-age=86400"
        return answer

    @routes.post("/v1/video/generations")
    def create_generation() -> Response:
        return created("generations", body("model", "prompt"))

    @routes.post("/kling/v1/videos/text2video")
    def create_from_text() -> Response:
        return created("kling", body("prompt"))

    @routes.post("/kling/v1/videos/image2video")
    def create_from_image() -> Response:
        return created("kling", body("image"))

    @routes.get("/v1/video/generations/<task_id>")
    @routes.get("/kling/v1/videos/text2video/<task_id>")
    @routes.get("/kling/v1/videos/image2video/<task_id>")
    def task(task_id: str) -> Response:
        return enveloped(known(task_id))

    @routes.post("/jimeng/")
    def jimeng() -> Response:
        action = request.args.get("Action")
        if not action:
            abort(_new_api_error(400, "Action query parameter is required"))
        if action == _SUBMIT:
            return created("jimeng", body("req_key"))
        task_id = text(body(), "task_id") or abort(_new_api_error(400, f"task_id is required for {_RESULT}"))
        return enveloped(known(task_id))

    @routes.get("/v1/models")
    def models() -> Response:
        return jsonify(object="list", success=True, data=[{"id": name, "object": "model"} for name in _MODELS])

    def created(kind: str, asked: Mapping[str, Any]) -> Response:
        job = jobs.start(_NAME, kind, asked, id="task_{:0>32}", fates=wished())
        told = {"id": job.id, "task_id": job.id, "object": "video", "model": _model(job), "status": "queued"}
        answer = jsonify(**told, progress=0, created_at=int(job.created_at.timestamp()))
        answer.headers["X-New-Api-Other-Ratios"] = "{}"
        return answer

    def known(task_id: str) -> Job:
        return jobs.find(_NAME, task_id) or abort(_flat(400, "task_not_exist", "task_not_exist"))

    def enveloped(job: Job) -> Response:
        return jsonify(code="success", message="", data=_record(job, files))

    return Api(name=_NAME, prefix="/newapi", routes=routes, refuse=_refuse, is_poll=_is_poll)


def _is_poll(asked: Request) -> bool:
    if asked.method == "POST":
        return asked.args.get("Action") == _RESULT
    return not asked.path.endswith(("/v1/models", "/content"))


def _refuse(status: int, message: str) -> Response:
    """Errors about a task are flat, those from before it is looked at are not."""
    if status == 404 and request.url_rule is None:
        path = request.path.removeprefix("/newapi")
        return _invalid(404, f"Invalid URL ({request.method} {path})", param="", code="")
    if status == 400:
        return _flat(400, "invalid_request", message)
    return _new_api_error(status, message)


def _flat(status: int, code: str, message: str) -> Response:
    answer = jsonify(code=code, message=message, data=None)
    answer.status_code = status
    return answer


def _invalid(status: int, message: str, **more: str) -> Response:
    answer = jsonify(error={"message": message, "type": "invalid_request_error", **more})
    answer.status_code = status
    return answer


def _new_api_error(status: int, message: str) -> Response:
    answer = jsonify(error={"message": f"{message} (request id: sandbox)", "type": "new_api_error", "code": ""})
    answer.status_code = status
    return answer


def _openai(job: Job) -> Mapping[str, Any]:
    """The form of OpenAI's API. It has no URL: the result is had from the gateway."""
    stage = job.stage
    error = {"error": {"message": _REASON, "code": "content_policy"}} if stage.status is Status.FAILED else {}
    return {
        "id": job.id,
        "object": "video",
        "model": _model(job),
        "status": _OPENAI_WORDS[stage.status],
        "progress": stage.progress,
        "created_at": int(job.created_at.timestamp()),
        # When it was last updated, so unfinished tasks have it too.
        "completed_at": _updated_at(job),
        "seconds": text(job.asked, "seconds", "4"),
        **error,
    }


def _record(job: Job, files: str) -> Mapping[str, Any]:
    """The gateway's own record of a task, which it keeps in a table."""
    stage = job.stage
    failed = stage.status is Status.FAILED
    url = f"{files}/{job.id}.mp4" if stage.status is Status.SUCCEEDED else ""
    # The URL falls back to the reason, which it once stood in for.
    result = {"result_url": url or _REASON} if url or failed else {}
    created_at = int(job.created_at.timestamp())
    return {
        "id": job.number,
        "created_at": created_at,
        "updated_at": _updated_at(job),
        "task_id": job.id,
        "platform": _PLATFORMS[job.kind],
        "user_id": 1,
        "group": "default",
        "channel_id": 1,
        "quota": 500000,
        "action": "textGenerate",
        "status": _OWN_WORDS[stage.status],
        "fail_reason": _REASON if failed else "",
        **result,
        "submit_time": created_at,
        "start_time": 0 if stage.status is Status.QUEUED else int(job.started_at.timestamp()),
        "finish_time": int(job.ended_at.timestamp()) if stage.status.terminal else 0,
        "progress": f"{stage.progress}%",
        "properties": {"input": "", "upstream_model_name": _model(job), "origin_model_name": _model(job)},
        "data": None,
    }


def _updated_at(job: Job) -> int:
    return int(min(job.ended_at, clock.now()).timestamp())


def _model(job: Job) -> str:
    return text(job.asked, "model", text(job.asked, "req_key"))
