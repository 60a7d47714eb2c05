"""Claim check: from an image_uri to its bytes, under the guards of its scheme, within bounds, digest checked."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager

from errors import SourceRefused, SourceUnavailable
from schemas.digests import sha256_hex
from schemas.events import ImageRef
from settings import SourceSettings
from sources.buckets import BucketSource
from sources.files import FileSource
from sources.limits import FetchLimits, Source
from sources.network import Resolve, resolve
from sources.web import open_web

_THREADS = 8


class SourceFetcher:
    """Fetches what an ImageRef names. Safe to call concurrently; the caller bounds how often."""

    def __init__(self, sources: Mapping[str, Source], limits: FetchLimits, threads: Executor) -> None:
        self._sources = sources
        self._limits = limits
        self._threads = threads

    async def fetch(self, ref: ImageRef) -> bytes:
        """The encoded image. Raises SourceRefused, SourceNotFound, ImageTooLarge, and SourceUnavailable: try again."""
        scheme = ref.uri.partition(":")[0].lower()
        source = self._sources.get(scheme)
        if source is None:
            known = ", ".join(self._sources)
            raise SourceRefused(f"the image_uri has the scheme {scheme[:40]!r}: only {known} are read")
        try:
            async with asyncio.timeout(self._limits.total_s):
                data = await source.read(ref.uri)
        except TimeoutError as error:
            raise SourceUnavailable(f"the {scheme} source took longer than {self._limits.total_s:g} s") from error
        if ref.sha256 is not None:
            digest = await asyncio.get_running_loop().run_in_executor(self._threads, sha256_hex, data)
            if digest != ref.sha256.lower():
                raise SourceRefused(f"content changed: expected sha256 {ref.sha256.lower()}, got {digest}")
        return data


@asynccontextmanager
async def open_fetcher(
    settings: SourceSettings, *, limits: FetchLimits | None = None, resolve: Resolve = resolve
) -> AsyncIterator[SourceFetcher]:
    """A fetcher that holds connections and threads until the end. Raises UsageError for an unreadable allow list."""
    limits = limits or FetchLimits(max_bytes=settings.max_image_bytes)
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sources")
    try:
        async with open_web(settings.uri_http_hosts, limits, threads, resolve) as web:
            files = FileSource(settings.uri_file_roots, limits, threads)
            buckets = BucketSource(settings.uri_s3_buckets, limits, threads)
            yield SourceFetcher({"file": files, "http": web, "https": web, "s3": buckets}, limits, threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
