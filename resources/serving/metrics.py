"""What Prometheus is told of one server process.

Belongs here: the metrics and their names. Does not belong here: when they move.

Requests are counted in plain numbers and turned into Prometheus' form when it asks: counting one in its client's own
objects takes 8 microseconds, a tenth of what a whole request may take.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.process_collector import ProcessCollector

from resources.serving.answers import Scores
from resources.serving.deployments import Status

LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1_000)
SCORE_BUCKETS: Final = tuple(step / 20 for step in range(1, 21))
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Histogram:
    """Counts of values by bucket; one more bucket holds what is beyond the last bound."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        upto, made = 0, []
        for bound, count in zip((*map(str, map(float, self.bounds)), "+Inf"), self.counts, strict=True):
            upto += count
            made.append((bound, float(upto)))
        return made


class Traffic:
    """Requests, rows, batches and scores, as counted by the event loop's thread."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, int], int] = {}
        self.latency: dict[str, Histogram] = {}
        self.rows: dict[tuple[int, str], int] = {}
        self.scores: dict[int, Histogram] = {}
        self.unusual: dict[str, int] = {}
        self.batches = Histogram(BATCH_BUCKETS)
        self.in_progress = self.errors = 0

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = route, status
        self.requests[key] = self.requests.get(key, 0) + 1
        if (latency := self.latency.get(route)) is None:
            latency = self.latency[route] = Histogram(LATENCY_BUCKETS_S)
        latency.add(seconds)

    def was_unusual(self, inputs: Sequence[str]) -> None:
        """Count an answer to a request with inputs out of their range."""
        for name in inputs:
            self.unusual[name] = self.unusual.get(name, 0) + 1

    def scored(self, versions: Sequence[int], modes: Sequence[str], scores: Scores) -> None:
        """Count the rows of an answer; of several outputs the first is shown as the score."""
        first = scores.tolist() if scores.ndim == 1 else scores[:, 0].tolist()
        for version, mode, score in zip(versions, modes, first, strict=True):
            key = version, mode
            self.rows[key] = self.rows.get(key, 0) + 1
            if (shown := self.scores.get(version)) is None:
                shown = self.scores[version] = Histogram(SCORE_BUCKETS)
            shown.add(score)

    def collect(self) -> Iterator[Metric]:
        """The counts in Prometheus' form; of copies, as the event loop may go on counting meanwhile."""
        requests = CounterMetricFamily(
            "throughline_requests", "Requests answered, by route and HTTP status.", labels=["route", "status"]
        )
        for (route, status), count in self.requests.copy().items():
            requests.add_metric([route, str(status)], count)
        yield requests
        latency = HistogramMetricFamily(
            "throughline_request_latency_seconds",
            "From the first byte of a request to the last of its answer, by route.",
            labels=["route"],
        )
        for route, histogram in self.latency.copy().items():
            latency.add_metric([route], histogram.buckets(), histogram.total)
        yield latency
        rows = CounterMetricFamily(
            "throughline_rows", "Rows scored, by model version and why it was asked.", labels=["version", "mode"]
        )
        for (version, mode), count in self.rows.copy().items():
            rows.add_metric([str(version), mode], count)
        yield rows
        scores = HistogramMetricFamily(
            "throughline_score", "Scores answered (of several outputs the first), by version.", labels=["version"]
        )
        for number, histogram in self.scores.copy().items():
            scores.add_metric([str(number)], histogram.buckets(), histogram.total)
        yield scores
        unusual = CounterMetricFamily(
            "throughline_unusual_inputs", "Requests answered though an input was out of its range.", labels=["input"]
        )
        for name, count in self.unusual.copy().items():
            unusual.add_metric([name], count)
        yield unusual
        batches = HistogramMetricFamily("throughline_batch_requests", "Requests that were scored together.")
        batches.add_metric([], self.batches.buckets(), self.batches.total)
        yield batches
        yield GaugeMetricFamily("throughline_requests_in_progress", "Requests under way.", value=self.in_progress)
        yield CounterMetricFamily(
            "throughline_request_errors", "Requests that failed for a reason of ours (HTTP 5xx).", value=self.errors
        )


class Metrics:
    """The metrics of one app; a registry of their own keeps two apps in one process apart."""

    def __init__(self, use_case: str) -> None:
        """Make all of them, so that each is shown as 0 before anything happened."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._use_case = use_case
        self.traffic = Traffic()
        registry.register(self.traffic)
        self.live = Gauge(
            "throughline_live_version",
            "1 for the version that is live.",
            ["use_case", "version", "family"],
            registry=registry,
        )
        self.failed_loads = Counter("throughline_failed_loads", "Versions that did not go live.", registry=registry)
        self.shadow_dropped = Counter(
            "throughline_shadow_dropped_rows",
            "Rows the shadow was not asked about, as it was behind.",
            registry=registry,
        )
        self.log_dropped = Counter(
            "throughline_log_dropped_rows", "Answered rows that the prediction log had no room for.", registry=registry
        )
        self.log_errors = Counter(
            "throughline_log_write_errors",
            "Answers that could not be written to the prediction log.",
            registry=registry,
        )
        self.labels = Counter("throughline_feedback_labels", "Late labels that were put on record.", registry=registry)

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Show a value that is looked up when Prometheus asks."""
        Gauge(name, description, registry=self._registry).set_function(value)

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


class _Families:
    """Metrics that somebody else has counted."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families


def merged(pages: Mapping[str, str]) -> bytes:
    """The metrics of several workers on one page, each with the label `worker`: sums over it are the endpoint's.

    Args:
        pages: In Prometheus' text format, by worker.
    """
    families: dict[str, Metric] = {}
    for worker, page in pages.items():
        for family in text_string_to_metric_families(page):
            known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                known.add_sample(sample.name, {**sample.labels, "worker": worker}, sample.value)
    return generate_latest(_Families(families.values()))
