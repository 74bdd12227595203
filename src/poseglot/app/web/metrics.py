"""Metrics of the server, in the text form of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

# Upper bounds of the buckets, in seconds.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts requests by route and status, and their time; also the process's memory, time and open files, where the system has them.

    Args:
        gauges: (name, help) -> a function that returns the current value.
    """

    def __init__(self, gauges: Mapping[tuple[str, str], Callable[[], float]]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # timestamps of every number
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "poseglot_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "poseglot_request_seconds", "From the first byte to the last.", ["route"], buckets=BOUNDS, registry=self._registry
        )
        for (name, help), value in gauges.items():
            Gauge(name, help, registry=self._registry).set_function(value)
        ProcessCollector(registry=self._registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> str:
        """Return all metrics, one per line."""
        return generate_latest(self._registry).decode()
