"""The providers' stand-in, in a process of its own, with jobs in it. Asked by a line, it tells what it was asked.

Arguments: provider, kind, how many jobs, and how many seconds they take.
"""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from receiver import plugins
from receiver.outbound import ProviderClient
from receiver.providers.base import Provider
from receiver.sandbox import Conditions, Sandbox

API_KEY = "the-key-of-the-bench"
_AT_ONCE = 8
_CLIPS = 20


def main(name: str, kind: str, count: int, seconds: float) -> None:
    """Print where the API is and the jobs' ids; then, for each line that comes in, when each poll was."""
    conditions = Conditions(duration=timedelta(seconds=seconds))
    with Sandbox(conditions, secret="unused", api_key=API_KEY) as sandbox:
        provider = plugins.provider(name)(api_key=API_KEY, base_url=sandbox.base_urls[name])
        told = {"base_url": sandbox.base_urls[name], "jobs": _created(provider, kind, count)}
        print(json.dumps(told), flush=True)
        for _ in sys.stdin:
            print(json.dumps([asked.at for asked in sandbox.polls]), flush=True)


def _created(provider: Provider, kind: str, count: int) -> list[str]:
    def create(body: Mapping[str, Any]) -> list[str]:
        answer = client.send(provider, provider.submit(kind, body, None))
        return [created.job_id for created in provider.read_submission(kind, answer) if created.kind != "batch"]

    with ProviderClient() as client, ThreadPoolExecutor(_AT_ONCE) as pool:
        return [job for jobs in pool.map(create, _bodies(kind, count)) for job in jobs]


def _bodies(kind: str, count: int) -> list[Mapping[str, Any]]:
    if kind == "batch":
        return [{"prompts": ["a lighthouse"] * _CLIPS} for _ in range(count // _CLIPS)]
    return [{"prompt": "a lighthouse", "model": "auto"} for _ in range(count)]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
