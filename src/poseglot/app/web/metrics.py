"""What the server counts, in the text form of Prometheus."""

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

# Seconds; a request that took longer is in the last, endless bucket.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Numbers:
    """Requests by route and status, and how long they took; the process's memory, time and open files where the system says them.

    Args:
        gauges: functions that return what is the case now, by name and help.
    """

    def __init__(self, gauges: Mapping[tuple[str, str], Callable[[], float]]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second line for each number: when it was first counted
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
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> str:
        """Return all of it, one number a line."""
        return generate_latest(self._registry).decode()
