"""`/metrics`, `/livez` and `/readyz` of a process, and a page beside them if it has one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import IO, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import FileWrapper

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Check = Callable[[], str | None]
"""None if all is well, else what is wrong."""


@dataclass(slots=True, frozen=True)
class PageAnswer:
    """What a page says."""

    status: HTTPStatus
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    file: IO[bytes] | None = None
    """Instead of `body`: read from where it stands, and closed when it was sent."""


Page = Callable[[Mapping[str, Any]], PageAnswer | None]
"""Answers a request (a WSGI environment); None: it is not for this page. Called on any thread. Must not raise."""


class HealthServer:
    """Serves until it is stopped. `port` is the real one, also when 0 was asked for.

    Alive means that the loops turn; it looks at no other system, or an outage of one would restart the fleet.
    Ready means that work can be done now.
    """

    def __init__(
        self,
        registries: Sequence[CollectorRegistry],
        *,
        host: str,
        port: int,
        alive: dict[str, Check],
        ready: dict[str, Check],
        page: Page = lambda _: None,
    ) -> None:
        self._registries = registries
        self._page = page
        self._checks = {"/livez": alive, "/readyz": ready}
        self._server = make_server(host, port, self._answer, server_class=_Server, handler_class=_QuietHandler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving. Idempotent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path in self._checks:
            return self._report(self._checks[path], start_response)
        if path == "/metrics":
            start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [merged_metrics(self._registries)]
        answer = self._page(environ)
        if answer is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"There are /metrics, /livez and /readyz.\n"]
        start_response(f"{answer.status.value} {answer.status.phrase}", list(answer.headers.items()))
        if environ["REQUEST_METHOD"] == "HEAD":
            if answer.file is not None:
                answer.file.close()
            return [b""]
        return [answer.body] if answer.file is None else FileWrapper(answer.file)

    def _report(self, checks: dict[str, Check], start_response: Callable[..., Any]) -> Iterable[bytes]:
        problems = {name: problem for name, check in checks.items() if (problem := check()) is not None}
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [json.dumps({"ok": not problems, "problems": problems}).encode() + b"\n"]


def merged_metrics(registries: Sequence[CollectorRegistry]) -> bytes:
    """One page for several roles in one process: each metric once, from every role that has samples of it."""
    if len(registries) == 1:
        return generate_latest(registries[0])
    merged: dict[str, Metric] = {}
    for registry in registries:
        for family in registry.collect():
            known = merged.get(family.name)
            if known is None:
                merged[family.name] = family
            else:
                known.samples = _summed(known, family)
    page = CollectorRegistry()
    page.register(_Collected(list(merged.values())))
    return generate_latest(page)


def _summed(one: Metric, other: Metric) -> list[Any]:
    """Samples of the same name and labels added up; those about the process itself are the same and stay."""
    if one.name.startswith(("process_", "python_")):
        return one.samples
    samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample for sample in one.samples}
    for sample in other.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        before = samples.get(key)
        samples[key] = sample if before is None else before._replace(value=before.value + sample.value)
    return list(samples.values())


class _Collected:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """What was collected already."""
        return self._families


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Probes come every few seconds; they are not worth a line."""
