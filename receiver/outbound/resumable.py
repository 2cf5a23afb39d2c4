"""Files fetched over several attempts, each kept under the hash of its content."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from io import BufferedRandom

from receiver.errors import AddressRefused, RequestFailed, TooLarge
from receiver.models import Access, Output
from receiver.outbound.addresses import checked_url, host_of, without_query
from receiver.outbound.downloads import Download, download
from receiver.outbound.extensions import extension, fault
from receiver.outbound.network import deadline_after
from receiver.outbound.places import Place
from receiver.outbound.progress import Progress, Saved, opened, progress_of

__all__ = ["Saved", "save_all"]

# What servers say to a URL that has expired. Google's storage says 400.
_EXPIRED = {400, 401, 403, 404, 410}


def save_all(
    outputs: Sequence[Output],
    place: Place,
    *,
    key: str,
    max_bytes: int,
    timeout: timedelta,
    allow_private: bool = False,
    access: Access | None = None,
    kind: str | None = None,
    refresh: Callable[[], Sequence[Output]] | None = None,
    saved: Callable[[Saved], None] | None = None,
) -> list[Saved]:
    """Fetch outputs and put them into a place; with the key of an earlier call, go on where that one stopped.

    Those that are `authorized` are fetched with the access. `kind` is the job's: where it promises media, a page is
    not taken for it. `refresh` tells the same outputs anew, where the URL of one has expired; it is asked once for
    each of them at most. `saved` is called with each file once it is in its place, perhaps again in the next call.

    Raises:
        BlockingIOError: an earlier call with this key is still at it.
        AddressRefused, TooLarge: one of them is not to be had; what was noted for this key is thrown away.
        RequestFailed: one of them did not arrive whole, or all of them not in time; the next call goes on from there.
            Or what arrived is not the file; the next call fetches it anew. Or it could not be put into the place; the
            next call puts it there and does not fetch it.
    """
    deadline = deadline_after(timeout)
    with progress_of(place.partials, key) as progress:
        fetcher = _Fetcher(outputs, progress, deadline, max_bytes, allow_private, access, kind, refresh)
        try:
            for index in range(len(progress.saved), len(outputs)):
                file = progress.waiting() or fetcher.fetch(index)
                if not progress.moved:
                    place.put(progress.part, file.file, content_type=file.content_type)
                    progress.put_there()
                if saved is not None:
                    saved(file)
                progress.add(file)
        except (AddressRefused, TooLarge):
            progress.forget()
            raise
        progress.forget()
        return progress.saved


@dataclass
class _Fetcher:
    """Fetches one output after the other, and those whose URL has expired from a fresh one."""

    outputs: Sequence[Output]
    progress: Progress
    deadline: float
    max_bytes: int
    allow_private: bool
    access: Access | None
    kind: str | None
    refresh: Callable[[], Sequence[Output]] | None
    fresh: Sequence[Output] = ()
    """All outputs, as they were told when one was asked for anew."""

    def fetch(self, index: int) -> Saved:
        output = self._named_now(index) or self.outputs[index]
        try:
            return self._fetch(index, output)
        except RequestFailed as refused:
            # The adapter builds the URLs of authorized outputs by itself, always the same.
            if self.refresh is None or output.authorized or refused.status not in _EXPIRED:
                raise
            fresh = self._asked_anew(index, self.refresh, refused)
            if fresh.url == output.url:
                raise
        return self._fetch(index, fresh)

    def _asked_anew(self, index: int, refresh: Callable[[], Sequence[Output]], refused: RequestFailed) -> Output:
        try:
            self.fresh = refresh()
            if fresh := self._named_now(index):
                return fresh
            raise RequestFailed(
                f"which of the {len(self.fresh)} results that the provider names now it is, nothing tells"
            )
        except RequestFailed as error:
            # As such, whatever it was: that the provider's answer is too large says nothing about the file.
            raise RequestFailed(f"{refused}, and there is no fresh URL: {error}", status=refused.status) from None

    def _named_now(self, index: int) -> Output | None:
        """The same output among the fresh ones, by its address or else its position; None where neither tells."""
        there = [without_query(output.url) for output in self.fresh]
        here = [without_query(output.url) for output in self.outputs]
        if there.count(here[index]) == 1:
            return self.fresh[there.index(here[index])]
        # What has the address of another one is that one, wherever it stands.
        return self.fresh[index] if len(there) == len(here) and there[index] not in here else None

    def _fetch(self, index: int, output: Output) -> Saved:
        progress, source = self.progress, without_query(output.url)
        with opened(progress.part) as file:
            # An etag tells apart the versions of one file, not files: a part from elsewhere is none of this one.
            same = progress.url == source
            got = download(
                output.url,
                file,
                max_bytes=self.max_bytes,
                timeout=timedelta(seconds=self.deadline - time.monotonic()),
                allow_private=self.allow_private,
                offset=file.seek(0, os.SEEK_END) if same else 0,
                etag=progress.etag if same else None,
                started=partial(progress.started, source),
                access=self.access if output.authorized else None,
            )
            if wrong := fault(file, got.content_type, output.url, self.kind):
                file.truncate(0)
                progress.started(None, None)
                raise RequestFailed(f"{host_of(checked_url(output.url))} sent {wrong}")
            os.fsync(file.fileno())
            arrived = _described(file, got, self.outputs[index].url, output.url)
        progress.whole(arrived)
        return arrived


def _described(file: BufferedRandom, got: Download, first_url: str, url: str) -> Saved:
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Saved(
        url=without_query(first_url),
        file=digest + extension(got.content_type, url),
        bytes=got.size,
        sha256=digest,
        content_type=got.content_type,
    )
