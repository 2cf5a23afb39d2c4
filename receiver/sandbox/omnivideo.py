"""Omni Video's API: an envelope with a code of its own around everything, and numbers for statuses."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Request, Response, abort, jsonify

from receiver.models import Status
from receiver.sandbox.api import Api, body, text, wished
from receiver.sandbox.jobs import Job, Jobs

_NAME = "omnivideo"
_MODELS = {"seedance-2": "video", "gpt-image-2": "image", "nano-banana-2": "image"}
_NUMBERS = {Status.QUEUED: 1, Status.RUNNING: 2, Status.SUCCEEDED: 3, Status.FAILED: 4}
_SUFFIXES = {"video": "mp4", "image": "png"}
_CREDITS = 15


def api(jobs: Jobs, files: str) -> Api:
    """The API; `files` is where results are served."""
    routes = Blueprint(_NAME, __name__)

    @routes.post("/api/v1/tasks/create")
    def create() -> Response:
        asked = body("model_id", "prompt")
        kind = _MODELS.get(text(asked, "model_id")) or abort(400, f"unknown model {text(asked, 'model_id')}")
        job = jobs.start(_NAME, kind, asked, id="task{}", reference="kie_{}", fates=wished())
        data = {"task_id": job.id, "request_id": job.reference, "credits": _CREDITS}
        return jsonify(code=200, msg="提交成功,等待生成", data=data)

    @routes.get("/api/v1/tasks/<task_id>")
    def task(task_id: str) -> Response:
        job = jobs.find(_NAME, task_id)
        if job is None or job.id != task_id:
            abort(400, "task not found")
        return jsonify(code=200, msg="ok", data=_task(job, files))

    return Api(name=_NAME, prefix="/omnivideo", routes=routes, refuse=_refuse, is_poll=_is_poll)


def _is_poll(asked: Request) -> bool:
    return asked.method == "GET"


def _refuse(status: int, message: str) -> Response:
    """What is wrong with the request itself is answered 200, with the code 0 inside."""
    answer = jsonify(code=0, msg=message, data=None)
    answer.status_code = 200 if status == 400 else status
    return answer


def _task(job: Job, files: str) -> Mapping[str, Any]:
    status = job.stage.status
    urls = {f"{kind}_url": None for kind in ("image", "video", "audio")}
    result = {f"{job.kind}_url": f"{files}/{job.id}.{_SUFFIXES[job.kind]}"} if status is Status.SUCCEEDED else {}
    return {
        "task_id": job.id,
        "task_status": _NUMBERS[status],
        "task_type": job.kind,
        "model_id": job.asked["model_id"],
        **urls,
        **result,
        "credits": _CREDITS,
        "created_at": int(job.created_at.timestamp()),
    }
