"""What Prometheus is told of one server process.

Belongs here: the metrics and their names. Does not belong here: when they move.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from resources.serving.deployments import Status

LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one app; a registry of their own keeps two apps in one process apart."""

    def __init__(self, use_case: str) -> None:
        """Make all of them, so that each is shown as 0 before anything happened."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._use_case = use_case
        self.requests = Counter(
            "throughline_requests",
            "Requests answered, by route and HTTP status.",
            ["route", "status"],
            registry=registry,
        )
        self.errors = Counter(
            "throughline_request_errors", "Requests that failed for a reason of ours (HTTP 5xx).", registry=registry
        )
        self.latency = Histogram(
            "throughline_request_latency_seconds",
            "From the first byte of a request to the last of its answer, by route.",
            ["route"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.in_progress = Gauge("throughline_requests_in_progress", "Requests under way.", registry=registry)
        self.rows = Counter("throughline_rows", "Rows scored, by model version.", ["version"], registry=registry)
        self.live = Gauge(
            "throughline_live_version",
            "1 for the version that is live.",
            ["use_case", "version", "family"],
            registry=registry,
        )
        self.failed_loads = Counter("throughline_failed_loads", "Versions that did not go live.", registry=registry)
        self.log_dropped = Counter(
            "throughline_log_dropped_rows", "Answered rows that the prediction log had no room for.", registry=registry
        )
        self.log_errors = Counter(
            "throughline_log_write_errors",
            "Answers that could not be written to the prediction log.",
            registry=registry,
        )

    def show(self, status: Status) -> None:
        """Take over which version is live."""
        if status.state == "failed":
            self.failed_loads.inc()
        if (live := status.live) is not None:
            self.live.clear()
            self.live.labels(self._use_case, str(live.target.number), live.scorer.family).set(1)

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
