"""The gateway one writes in an afternoon: FastAPI verifies the signature and appends the body to a file.

It does not sync, tells no duplicates apart, and keeps no jobs. Run with `uvicorn gateway:app --workers 2`.
"""

import hashlib
import hmac
import json
import os
from datetime import UTC, datetime

from fastapi import FastAPI, HTTPException, Request

SECRET = os.environ["BENCH_SECRET"].encode()
events = os.open(os.environ["BENCH_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
app = FastAPI()


@app.post("/webhooks/creativeai", status_code=202)
async def receive(request: Request) -> dict[str, str]:
    """Verify and append."""
    body = await request.body()
    expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-creativeai-signature", "")):
        raise HTTPException(401)
    event = {"received_at": datetime.now(UTC).isoformat(), "event": json.loads(body)}
    os.write(events, json.dumps(event).encode() + b"\n")
    return {"status": "accepted"}
