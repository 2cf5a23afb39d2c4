"""A server that speaks S3, in a process of its own on this machine."""

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from functools import cached_property

import httpx

from tests.watch import eventually

_START_WITHIN = 30.0


class S3:
    """Where it is, and what is in it, as another client sees it than the one we test."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.options = {"key": "an-access-key", "secret": "a-secret-key", "endpoint_url": self.url}

    @cached_property
    def _client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.options["key"],
            aws_secret_access_key=self.options["secret"],
        )

    @property
    def awake(self):
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/moto-api/data.json", timeout=5).is_success
        return False

    def empty(self):
        """Forget everything."""
        httpx.post(f"{self.url}/moto-api/reset").raise_for_status()

    def make(self, bucket):
        """Make a bucket."""
        self._client.create_bucket(Bucket=bucket)

    def names(self, bucket):
        """The names of what is in a bucket."""
        return [found["Key"] for found in self._client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def buckets(self):
        """The names of all buckets."""
        return [found["Name"] for found in self._client.list_buckets()["Buckets"]]

    def get(self, bucket, name):
        """What is in an object."""
        with self._client.get_object(Bucket=bucket, Key=name)["Body"] as body:
            return body.read()

    def content_type(self, bucket, name):
        """What an object says it is."""
        return self._client.head_object(Bucket=bucket, Key=name)["ContentType"]

    def put(self, bucket, name, body):
        """Put an object there, behind the back of whom we test."""
        self._client.put_object(Bucket=bucket, Key=name, Body=body)

    def close(self):
        """Close the connections."""
        self._client.close()


@contextmanager
def serving():
    """The server at work."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
            env={**os.environ, "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"},
        )
        try:
            found = S3(port)
            eventually(lambda: found.awake, within=_START_WITHIN)
            yield found
            found.close()
        finally:
            server.terminate()
            server.wait()
