"""What the server counts, and how it says it: the text form of Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping

# Seconds; a request that took longer is in the last, endless one.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Numbers:
    """Requests by route and status, and how long they took.

    Args:
        gauges: name with its help -> what is the case now.
    """

    def __init__(self, gauges: Mapping[tuple[str, str], Callable[[], float]]) -> None:
        self._gauges = gauges
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[method, route, status] += 1
            self._seconds[route] += seconds  # type: ignore[assignment]
            self._buckets[route, next((bound for bound in BOUNDS if seconds <= bound), float("inf"))] += 1

    def text(self) -> str:
        """All of it, one number a line."""
        lines = ["# HELP poseglot_requests_total Requests answered.", "# TYPE poseglot_requests_total counter"]
        with self._lock:
            for (method, route, status), count in sorted(self._requests.items()):
                lines.append(f'poseglot_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}')
            lines += [
                "# HELP poseglot_request_seconds From the first byte to the last.",
                "# TYPE poseglot_request_seconds histogram",
            ]
            for route, seconds in sorted(self._seconds.items()):
                total = 0
                for bound in (*BOUNDS, float("inf")):
                    total += self._buckets[route, bound]
                    name = "+Inf" if bound == float("inf") else f"{bound:g}"
                    lines.append(f'poseglot_request_seconds_bucket{{route="{route}",le="{name}"}} {total}')
                lines.append(f'poseglot_request_seconds_sum{{route="{route}"}} {seconds:.6f}')
                lines.append(f'poseglot_request_seconds_count{{route="{route}"}} {total}')
        for (name, help), value in self._gauges.items():
            lines += [f"# HELP {name} {help}", f"# TYPE {name} gauge", f"{name} {value():g}"]
        return "\n".join(lines) + "\n"
