"""What is told of each call: metrics, lines of the log, spans."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cornu import serving as served
from cornu.serving._grpc import handlers
from cornu.serving._messages import types

from .runners import Doubling
from .test_life import files, put  # noqa: F401 (a fixture)

PREDICT = "/v1/models/{model}:{method}"
TWO = {"instances": [[1.0, 2.0]] * 2}


class Told(dict[tuple[str, ...], float]):
    """Values of metrics by their names and those labels that a test looks at."""

    def __init__(self, text: str, *labels: str) -> None:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, *(sample.labels[x] for x in labels if x in sample.labels))
                self[key] = self.get(key, 0) + sample.value


def with_client(
    ask: Any, source: Any = None, base: str = "http://h", **options: Any
) -> Coroutine[Any, Any, Any]:
    """What `ask(client, application)` gives, with an application of a model that doubles."""
    application = served.app(source or {"m": Doubling()}, **options)

    async def asked() -> Any:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await ask(client, application)

    return asked()


def test_metrics() -> None:
    """They hold each call, by model, version, protocol and code; runs by their sizes; what waits; states."""

    async def ask(client: httpx.AsyncClient, application: Any) -> list[str]:
        await client.post("/v1/models/m:predict", json=TWO)
        await client.post("/v1/models/m:predict", json={"instances": [[1.0, 2.0]] * 3})
        await client.post("/v1/models/m:predict", json={"instances": [[1.0]]})
        await client.post("/v1/models/other:predict", json=TWO)
        return [
            (await client.get(path)).raise_for_status().text
            for path in ("/metrics", "/monitoring/prometheus/metrics")
        ]

    text, same = asyncio.run(with_client(ask, max_batch=4))
    found, calls = Told(text), Told(text, "model", "version", "protocol", "call", "code")
    assert calls["cornu_request_count_total", "m", "1", "http", PREDICT, "OK"] == 2
    assert calls["cornu_request_count_total", "m", "1", "http", PREDICT, "INVALID_ARGUMENT"] == 1
    assert calls["cornu_request_count_total", "", "", "http", PREDICT, "NOT_FOUND"] == 1
    assert found["cornu_request_latency_seconds_count",] == 4
    assert found["cornu_queue_latency_seconds_count",] == 2
    assert found["cornu_runtime_latency_seconds_count",] == 2
    assert found["cornu_padding_rows_total",] == 1 and found["cornu_queue_rows",] == 0
    assert found["cornu_batch_rows_sum",] == 6
    sizes = Told(text, "le")
    counts = {key[1]: x for key, x in sizes.items() if key[0] == "cornu_batch_rows_bucket"}
    assert counts == {"1.0": 0, "2.0": 1, "4.0": 2, "+Inf": 2}
    assert Told(text, "model", "state")["cornu_model_state", "m", "AVAILABLE"] == 1
    assert Told(text, "model", "result")["cornu_reload_total", "m", "loaded"] == 1
    assert Told(same).keys() == found.keys()


def test_metrics_of_open_metrics() -> None:
    """A scraper that asks for it gets the newer format."""

    async def ask(client: httpx.AsyncClient, application: Any) -> httpx.Response:
        accept = "application/openmetrics-text; version=1.0.0"
        return await client.get("/metrics", headers={"accept": accept})

    answer = asyncio.run(with_client(ask))
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_versions_that_are_gone_leave_the_metrics(
    files: Callable[[int], Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    """Loads that failed are counted."""
    for number in (1, 2):
        put(files(number), tmp_path / "m" / str(number) / "m.onnx")

    async def ask(client: httpx.AsyncClient, application: Any) -> list[str]:
        body = {"instances": [[1.0]]}
        await client.post("/v1/models/m:predict", json=body)
        before = (await client.get("/metrics")).text
        for file in (tmp_path / "m" / "2").iterdir():
            file.unlink()
        (tmp_path / "m" / "2").rmdir()
        put(files(3), tmp_path / "m" / "3" / "m.onnx")
        (tmp_path / "m" / "4").mkdir()
        (tmp_path / "m" / "4" / "m.onnx").write_bytes(b"no model")
        await application.repository.poll()
        await asyncio.sleep(0.05)
        await application.repository.poll()
        await client.post("/v1/models/m:predict", json=body)
        return [before, (await client.get("/metrics")).text]

    before, after = asyncio.run(with_client(ask, tmp_path / "m", poll=0))
    key = "cornu_request_count_total"
    assert [x[1] for x in Told(before, "version") if x[0] == key] == ["2"]
    assert [x[1] for x in Told(after, "version") if x[0] == key] == ["3"]
    assert Told(after, "result")["cornu_reload_total", "failed"] == 1
    states = {x[1:] for x in Told(after, "version", "state") if x[0] == "cornu_model_state"}
    assert {("3", "AVAILABLE"), ("4", "END")} <= states


@pytest.mark.parametrize("sent", ["my-id", None, "a\x1b[2J"])
def test_the_access_log(sent: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """A line of JSON for each call, with the id that was sent, or one that its sender is told: where none was
    sent, or one that would act upon a terminal."""

    async def ask(client: httpx.AsyncClient, application: Any) -> httpx.Response:
        headers = {"x-request-id": sent} if sent else {}
        return await client.post("/v1/models/m:predict", json=TWO, headers=headers)

    caplog.set_level(logging.INFO, "cornu")
    answer = asyncio.run(with_client(ask, access_log=True))
    (line,) = [json.loads(x) for x in caplog.messages if x.startswith("{")]
    assert line.pop("ms") > 0
    assert line == {
        "model": "m", "version": "1", "protocol": "http", "call": PREDICT, "code": "OK",
        "id": answer.headers["x-request-id"],
    }  # fmt: skip
    assert line["id"] == sent if sent == "my-id" else len(line["id"]) == 32


def test_no_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """Without it a call leaves no line, and an answer no id unless it is refused."""

    async def ask(client: httpx.AsyncClient, application: Any) -> list[httpx.Response]:
        return [await client.post("/v1/models/m:predict", json=x) for x in (TWO, {})]

    caplog.set_level(logging.INFO, "cornu")
    good, bad = asyncio.run(with_client(ask))
    assert not [x for x in caplog.messages if x.startswith("{")]
    assert "x-request-id" not in good.headers and len(bad.headers["x-request-id"]) == 32


def test_calls_of_grpc(caplog: pytest.LogCaptureFixture) -> None:
    """They are counted and told as those of HTTP; one that is refused has its id in the trailing metadata."""

    async def ask(client: httpx.AsyncClient, application: Any) -> Any:
        repository = application.repository
        await repository.start()
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(tuple(handlers(repository, repository.options)))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            request = types().ModelInferRequest(model_name="m").SerializeToString()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request, metadata=(("x-request-id", "of-grpc"),))
        await server.stop(0)
        return caught.value.trailing_metadata(), (await client.get("/metrics")).text

    caplog.set_level(logging.INFO, "cornu")
    trailing, text = asyncio.run(with_client(ask, access_log=True))
    assert dict(trailing)["x-request-id"] == "of-grpc"
    count = Told(text, "model", "protocol", "call", "code")
    assert count["cornu_request_count_total", "m", "grpc", "ModelInfer", "INVALID_ARGUMENT"] == 1
    (line,) = [json.loads(x) for x in caplog.messages if x.startswith("{")]
    assert line["id"] == "of-grpc" and line["protocol"] == "grpc"


def test_who_leaves_is_counted() -> None:
    runner = Doubling()

    async def ask(client: httpx.AsyncClient, application: Any) -> str:
        call = asyncio.ensure_future(client.post("/v1/models/m:predict", json=TWO))
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.wait([call])
        runner.gate.set()
        return (await client.get("/metrics")).text

    text = asyncio.run(with_client(_closed(runner, ask), {"m": runner}))
    assert Told(text, "code")["cornu_request_count_total", "CANCELLED"] == 1


def _closed(runner: Doubling, ask: Any) -> Any:
    """`ask`, once the model is loaded and answers nobody."""

    async def asked(client: httpx.AsyncClient, application: Any) -> Any:
        await application.repository.start()
        runner.gate.clear()
        for _, one in application.repository.served():
            one.model.seconds.clear()  # so that runs leave the loop
        return await ask(client, application)

    return asked


def test_spans(caplog: pytest.LogCaptureFixture) -> None:
    """Each call is a span of OpenTelemetry, below that of its sender."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    above = f"00-{'a' * 32}-{'b' * 16}-01"

    async def ask(client: httpx.AsyncClient, application: Any) -> None:
        application.repository.watching.tracer = provider.get_tracer("cornu")
        headers = {"traceparent": above, "x-request-id": "mine"}
        for body in (TWO, {}):
            await client.post("/v1/models/m:predict", json=body, headers=headers)

    asyncio.run(with_client(ask))
    good, bad = spans.get_finished_spans()
    assert good.name == PREDICT and good.context.trace_id == int("a" * 32, 16)
    assert good.parent.span_id == int("b" * 16, 16)
    assert dict(good.attributes) == {
        "cornu.model": "m", "cornu.version": "1", "cornu.protocol": "http",
        "cornu.call": PREDICT, "cornu.code": "OK", "cornu.id": "mine",
    }  # fmt: skip
    assert good.status.is_ok and not bad.status.is_ok
    assert bad.status.description == "INVALID_ARGUMENT"


def test_nobody_reads_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an SDK headers are not read for a span, which would cost a tenth of a call."""

    async def ask(client: httpx.AsyncClient, application: Any) -> httpx.Response:
        monkeypatch.setattr(application.repository.watching, "_extract", None)
        return await client.post("/v1/models/m:predict", json=TWO)

    assert asyncio.run(with_client(ask)).status_code == 200


def test_without_open_telemetry(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and nothing is traced."""

    async def ask(client: httpx.AsyncClient, application: Any) -> httpx.Response:
        assert application.repository.watching.tracer is None
        return await client.post("/v1/models/m:predict", json=TWO)

    monkeypatch.setattr("cornu.serving._watching.find_spec", lambda name: None)
    caplog.set_level(logging.INFO, "cornu")
    assert asyncio.run(with_client(ask)).status_code == 200
    assert "Calls are not traced: `opentelemetry-api` is not installed." in caplog.messages
