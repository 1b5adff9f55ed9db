"""What Prometheus is told: the door to its client (the ``serve`` extra)."""

from __future__ import annotations

from importlib.util import find_spec

from assistant.serving.problems import Problem

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
MISSING = "metrics need the 'serve' extra: pip install prometheus-client"


class Metrics:
    """Counts of one server; without the extra nothing is counted, and ``text`` says so."""

    def __init__(self) -> None:
        self._is_there = find_spec("prometheus_client") is not None
        if not self._is_there:
            return
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            PlatformCollector,
            ProcessCollector,
        )

        self._registry = known = CollectorRegistry()
        ProcessCollector(registry=known)
        PlatformCollector(registry=known)
        self._requests = Counter(
            "assistant_requests",
            "Requests by route and status",
            ["route", "status"],
            registry=known,
        )
        self._seconds = Histogram(
            "assistant_request_seconds",
            "From a request's arrival to the end of its response",
            ["route"],
            buckets=SECONDS,
            registry=known,
        )
        self._waiting = Gauge(
            "assistant_waiting", "Requests that are answered or wait for it", registry=known
        )
        self._together = Histogram(
            "assistant_together",
            "Questions that were answered in one pass",
            buckets=(1, 2, 4, 8),
            registry=known,
        )

    def served(self, route: str, status: int, seconds: float) -> None:
        """A request has ended."""
        if self._is_there:
            self._requests.labels(route, str(status)).inc()
            self._seconds.labels(route).observe(seconds)

    def waiting(self, count: int) -> None:
        if self._is_there:
            self._waiting.set(count)

    def together(self, count: int) -> None:
        if self._is_there:
            self._together.observe(count)

    def text(self) -> tuple[bytes, str]:
        """All of it in Prometheus' format, and the format's type.

        Raises:
            Problem: the extra is not installed.
        """
        if not self._is_there:
            raise Problem(404, MISSING, code="not_installed")
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST
