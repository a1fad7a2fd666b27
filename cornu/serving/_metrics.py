"""What a server counts, in Prometheus's format (https://prometheus.io/docs/instrumenting/exposition_formats/).

Each call costs two of its counters. All that models and queues know of themselves is read when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ._batching import Execution, Watch

if TYPE_CHECKING:
    from ._repository import Repository

_MODEL = ("model", "version")
_CALL = (*_MODEL, "protocol", "call")
#: The upper ends of times, in seconds: from what a small model takes to what nobody waits for.
_SECONDS = [a * 10.0**b for b in range(-4, 1) for a in (1, 2.5, 5)] + [10.0, 30.0]


class Metrics:
    """Counters of calls and runs.

    Args:
        repository: The models.

    >>> from cornu.serving._repository import Repository
    >>> metrics = Repository({}).watching.metrics
    >>> metrics.answered(("", "", "http", "/v2", "OK"), 0.002)
    >>> next(line for line in metrics.text("")[0].decode().splitlines() if "count_total{" in line)
    'cornu_request_count_total{call="/v2",code="OK",model="",protocol="http",version=""} 1.0'
    """

    def __init__(self, repository: Repository) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

        self.repository = repository
        self._registry = CollectorRegistry()
        made = {"namespace": "cornu", "registry": self._registry}
        times = {**made, "unit": "seconds", "buckets": _SECONDS}
        self._count = Counter("request_count", "Calls.", (*_CALL, "code"), **made)
        self._latency = Histogram("request_latency", "Time to an answer.", _CALL, **times)
        self._queue = Histogram("queue_latency", "Time that requests waited.", _MODEL, **times)
        self._runtime = Histogram("runtime_latency", "Time of a run.", _MODEL, **times)
        #: Metrics with their labels, which are bound once.
        self._bound: dict[tuple[str, ...], tuple[Any, ...]] = {}
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def _of(self, labels: tuple[str, ...], *metrics: Any) -> tuple[Any, ...]:
        found = self._bound.get(labels)
        if found is None:
            found = tuple(metric.labels(*labels[: len(metric._labelnames)]) for metric in metrics)
            self._bound[labels] = found
        return found

    def answered(self, labels: tuple[str, ...], seconds: float) -> None:
        """Count a call: its model, version, protocol, name and code."""
        count, latency = self._of(labels, self._count, self._latency)
        count.inc()
        latency.observe(seconds)

    def runs(self, name: str, version: int) -> Watch:
        """What counts the batches of a version."""
        queue, runtime = self._of((name, str(version)), self._queue, self._runtime)

        def ran(executions: Sequence[Execution], waited: Sequence[float]) -> None:
            for seconds in waited:
                queue.observe(seconds)
            for execution in executions:
                runtime.observe(execution.seconds)

        return ran

    def text(self, accepted: str) -> tuple[bytes, str]:
        """All of it, in the best format of those that are accepted, and the type of that."""
        from prometheus_client.exposition import choose_encoder

        encode, kind = choose_encoder(accepted)
        self._forget()
        return encode(self._registry), kind

    def _forget(self) -> None:
        """Let go of versions that are no more; calls of no model stay."""
        known = {(name, str(status.version)) for name, status in self.repository.index()}
        for labels in [x for x in self._bound if x[:2] not in {*known, ("", "")}]:
            del self._bound[labels]
            metrics = (
                (self._queue, self._runtime) if len(labels) == 2 else (self._count, self._latency)
            )
            for metric in metrics:
                metric.remove(*labels[: len(metric._labelnames)])

    def collect(self) -> Iterator[Any]:
        """What models and queues know, as Prometheus's registry asks for it."""
        from prometheus_client import core

        rows = core.HistogramMetricFamily("cornu_batch_rows", "Rows that runs had.", labels=_MODEL)
        padding = core.CounterMetricFamily(
            "cornu_padding_rows", "Rows that filled batches up.", labels=_MODEL
        )
        queue = core.GaugeMetricFamily("cornu_queue_rows", "Rows that wait.", labels=_MODEL)
        state = core.GaugeMetricFamily(
            "cornu_model_state", "1 for the state of a version.", labels=(*_MODEL, "state")
        )
        loads = core.CounterMetricFamily(
            "cornu_reload", "Loads of versions.", labels=("model", "result")
        )
        for name, status in self.repository.index():
            state.add_metric([name, str(status.version), status.state], 1)
        for name, found in self.repository.loads().items():
            for result, count in found.items():
                loads.add_metric([name, result], count)
        for name, served in self.repository.served():
            labels, counters = [name, str(served.model.version)], served.counters
            buckets, total = [], 0
            for size in sorted({*self.repository.options.sizes, *counters.sizes}):
                total += counters.sizes[size]
                buckets.append((str(float(size)), total))
            computed = counters.rows + counters.padding
            rows.add_metric(labels, [*buckets, ("+Inf", total)], computed)
            padding.add_metric(labels, counters.padding)
            queue.add_metric(labels, served.batcher.waiting)
        return iter((rows, padding, queue, state, loads))
