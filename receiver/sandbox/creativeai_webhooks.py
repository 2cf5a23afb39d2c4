"""What CreativeAI posts when a job has ended: signed, or by somebody else who pretends."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver import clock
from receiver.models import Delivery
from receiver.providers.creativeai import CreativeAI
from receiver.sandbox.api import text
from receiver.sandbox.conditions import Fate
from receiver.sandbox.jobs import Job
from receiver.sandbox.webhooks import Letter

REASON = "Generation timed out after 10 minutes"
CREDITS = {"video": 30, "image": 2, "voice": 8, "compose": 5, "chart-to-video": 15, "background-removal": 1}

_OBJECTS = {
    "video": "video.generation",
    "chart-to-video": "chart.generation",
    "background-removal": "background_removal.generation",
}
_SUFFIXES = {"image": "png", "background-removal": "png", "voice": "mp3"}
_NOT_THE_SECRET = "not-the-secret"  # noqa: S105 - what a forger signs with


def webhook_body(
    kind: str, job_id: str, *, status: str = "completed", base_url: str = "https://cdn.creativeai.run"
) -> bytes:
    """The body CreativeAI would post for a job that ended just now; a batch has three clips."""
    files, now = f"{base_url}/output", clock.now()
    if kind == "batch":
        clips = [_clip(f"{job_id}_{number}", "", "completed", files) for number in (1, 2, 3)]
        return json.dumps(_batch(job_id, clips, status, now)).encode()
    return json.dumps(_generation(kind, job_id, {}, status, files, now)).encode()


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The headers CreativeAI would post it with."""
    delivery = Delivery(source="sandbox", body=body, received_at=clock.now())
    return {"Content-Type": "application/json", **CreativeAI().sign(delivery, secret)}


def genuine(job: Job, files: str, secret: str) -> Letter:
    """The webhook of a job that has ended. `files` is where results are served."""
    body = _about(job, files, failed=lambda ended: Fate.FAILED in ended.fates)
    return Letter(body, signed(body, secret))


def forged(job: Job, files: str) -> Letter:
    """The opposite, from somebody who does not know the secret."""
    body = _about(job, files, failed=lambda ended: Fate.FAILED not in ended.fates)
    return Letter(body, signed(body, _NOT_THE_SECRET))


def output_url(kind: str, job_id: str, files: str) -> str:
    """Where the result of a job is."""
    return f"{files}/{job_id}.{_SUFFIXES.get(kind, 'mp4')}"


def _about(job: Job, files: str, *, failed: Callable[[Job], bool]) -> bytes:
    if job.kind != "batch":
        status = "failed" if failed(job) else "completed"
        return json.dumps(_generation(job.kind, job.id, job.asked, status, files, job.ended_at)).encode()
    # However its clips ended, a batch is told as completed.
    clips = [
        _clip(clip.id, text(clip.asked, "prompt"), "failed" if failed(clip) else "completed", files)
        for clip in job.clips
    ]
    return json.dumps(_batch(job.id, clips, "completed", job.ended_at)).encode()


def _generation(
    kind: str, job_id: str, asked: Mapping[str, Any], status: str, files: str, ended_at: datetime
) -> Mapping[str, Any]:
    credits = CREDITS.get(kind, 1)
    facts = {"id": job_id, "object": _OBJECTS.get(kind, f"{kind}.generation"), "status": status, **_own(kind, asked)}
    ended = {"completed_at": clock.to_text(ended_at)}
    if status == "failed":
        error = {"message": REASON, "type": "server_error", "code": "generation_timeout"}
        told = {"output_url": None, "error": error, "error_message": REASON, "credits": 0, "credits_refunded": credits}
        return {**facts, **told, **ended}
    no_error = {"error_message": None} if kind == "video" else {}
    return {**facts, "output_url": output_url(kind, job_id, files), **no_error, "credits": credits, **ended}


def _own(kind: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What only the webhooks of this kind tell."""
    prompt = text(asked, "prompt")
    if kind == "video":
        model = text(asked, "model", "auto")
        return {"model": model, "model_actual": "seedance-t2v", "prompt": prompt, "failover_used": True}
    if kind == "image":
        revised = {"revised_prompt": f"{prompt}, professional lighting", "width": 1024, "height": 1024}
        return {"model": text(asked, "model", "seedream-3.0"), "prompt": prompt, **revised}
    if kind == "voice":
        voice = {"voice": text(asked, "voice", "alloy"), "language": text(asked, "language", "en")}
        return {"text": text(asked, "text"), **voice, "duration_seconds": 4.2}
    return {}


def _batch(batch_id: str, clips: Sequence[Mapping[str, Any]], status: str, ended_at: datetime) -> Mapping[str, Any]:
    return {
        "batch_id": batch_id,
        "object": "video.batch",
        "status": status,
        "total_jobs": len(clips),
        "completed": sum(clip["status"] == "completed" for clip in clips),
        "failed": sum(clip["status"] == "failed" for clip in clips),
        "jobs": clips,
        "total_credits": sum(clip["credits"] for clip in clips),
        "completed_at": clock.to_text(ended_at),
    }


def _clip(clip_id: str, prompt: str, status: str, files: str) -> Mapping[str, Any]:
    completed = status == "completed"
    return {
        "id": clip_id,
        "prompt": prompt,
        "status": status,
        "output_url": output_url("video", clip_id, files) if completed else None,
        "credits": CREDITS["video"] if completed else 0,
    }
