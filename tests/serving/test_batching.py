"""The eleven rules of batches."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from cornu.serving import Failure, Model, Options, TensorSpec
from cornu.serving._batching import Batcher, Execution

from .runners import Doubling, Y, rows


def batcher(runner: Doubling, **options: Any) -> Batcher:
    """The queues of a model that is warm."""
    limits = Options(**options)
    model = Model(runner)
    model.warm(limits.sizes)
    runner.sizes.clear()
    return Batcher(model, limits)


def asked(queue: Batcher, requests: list[Any], **more: Any) -> list[Any]:
    """The answers of requests that come at once."""

    async def main() -> list[Any]:
        return await asyncio.gather(
            *(queue.run(x, **more) for x in requests), return_exceptions=True
        )

    return asyncio.run(asyncio.wait_for(main(), 10))


def occupied(queue: Batcher, runner: Doubling, during: Any) -> Any:
    """What `during()` gives while a run goes on; it ends when that is done."""

    async def main() -> Any:
        runner.gate.clear()
        first = asyncio.create_task(queue.run(rows(1)))
        await asyncio.sleep(0.02)
        task = asyncio.ensure_future(during())
        await asyncio.sleep(0.02)
        runner.gate.set()
        await first
        return await task

    return asyncio.run(asyncio.wait_for(main(), 10))


@pytest.mark.parametrize(
    ("asked_for", "sizes"),
    [
        ([1], [1]),
        ([3], [4]),
        ([1, 1, 1], [4]),
        ([5, 2], [8]),
        ([5, 4], [8, 4]),  # 9 rows don't fit, and nobody is overtaken
        ([8, 1], [8, 1]),
        ([20], [8, 8, 4]),  # larger than a batch: in parts
        ([1, 20, 1], [1, 8, 8, 4, 1]),
    ],
)
def test_rows_share_runs_of_allowed_sizes(asked_for: list[int], sizes: list[int]) -> None:
    runner = Doubling()
    queue = batcher(runner, max_batch=8)
    answers = asked(queue, [rows(n, i) for i, n in enumerate(asked_for)])
    assert runner.sizes == sizes
    for i, (n, answer) in enumerate(zip(asked_for, answers, strict=True)):
        np.testing.assert_array_equal(answer["y"], np.full((n, 2), 2 * i))
    counters = queue.counters
    assert dict(counters.sizes) == {size: sizes.count(size) for size in sizes}
    assert counters.rows == sum(asked_for) and counters.padding == sum(sizes) - sum(asked_for)
    assert (counters.requests, queue.waiting) == (len(asked_for), 0)


def test_sizes_that_were_chosen() -> None:
    runner = Doubling()
    asked(batcher(runner, batch_sizes=(3, 6)), [rows(2), rows(2)])
    assert runner.sizes == [6]


def test_what_comes_during_a_run_is_one_batch() -> None:
    """Without a delay: the next batch fills by itself."""
    runner = Doubling(0.002)
    queue = batcher(runner)
    occupied(queue, runner, lambda: asyncio.gather(*(queue.run(rows(1)) for _ in range(5))))
    assert runner.sizes == [1, 8]


def test_a_delay() -> None:
    """A batch waits for more rows no longer than it may, and not at all when it is full."""
    runner = Doubling()
    queue = batcher(runner, max_batch=4, max_delay_ms=60)

    async def later(seconds: float, n: int) -> float:
        await asyncio.sleep(seconds)
        start = time.monotonic()
        await queue.run(rows(n))
        return time.monotonic() - start

    async def main() -> tuple[list[float], list[float]]:
        two = await asyncio.gather(later(0, 1), later(0.01, 1))
        return two, await asyncio.gather(later(0, 1), later(0.01, 3))

    two, full = asyncio.run(main())
    assert runner.sizes == [2, 4]
    assert 0.055 < two[0] < 0.3 and max(full) < 0.05


def test_a_full_queue() -> None:
    """It refuses at once, and says why. A request that is larger than the queue waits alone."""
    runner = Doubling(0.002)
    queue = batcher(runner, max_queue=10)

    async def more() -> Any:
        waiting = [asyncio.create_task(queue.run(rows(5))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Failure) as caught:
            await queue.run(rows(1))
        await asyncio.gather(*waiting)
        return caught.value

    failure = occupied(queue, runner, more)
    assert failure.code == "RESOURCE_EXHAUSTED"
    assert str(failure) == (
        "10 rows wait for the model 'm', whose queue holds 10 (max_queue). Received: 1 more. "
        "Try again later."
    )
    assert queue.counters.failures == {"RESOURCE_EXHAUSTED": 1}
    assert len(asked(queue, [rows(50)])[0]["y"]) == 50


@pytest.mark.parametrize("leaves", ["late", "cancelled"])
def test_who_has_left_is_not_computed(leaves: str) -> None:
    runner = Doubling(0.002)
    queue = batcher(runner)

    async def main() -> Any:
        deadline = time.monotonic() + 0.01 if leaves == "late" else None
        gone = asyncio.create_task(queue.run(rows(3), deadline=deadline))
        kept = asyncio.create_task(queue.run(rows(1)))
        await asyncio.sleep(0.015)
        if leaves == "cancelled":
            gone.cancel()
        (result,) = await asyncio.gather(gone, return_exceptions=True)
        assert queue.waiting == 1
        await kept
        return result

    result = occupied(queue, runner, main)
    assert runner.sizes == [1, 1]
    if leaves == "late":
        assert result.code == "DEADLINE_EXCEEDED"
    else:
        assert isinstance(result, asyncio.CancelledError)


def test_who_leaves_as_a_batch_is_formed() -> None:
    """A request is cancelled, and its batch taken before it has heard of that: the others are answered."""
    runner = Doubling()
    queue = batcher(runner)

    async def main() -> None:
        tasks = [asyncio.create_task(queue.run(rows(n))) for n in (1, 2)]
        await asyncio.sleep(0)  # both wait, and the next turn takes them
        tasks[0].cancel()
        gone, kept = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(gone, asyncio.CancelledError) and len(kept["y"]) == 2  # type: ignore[arg-type, index]

    asyncio.run(asyncio.wait_for(main(), 5))
    assert runner.sizes == [2] and queue.counters.failures == {"CANCELLED": 1}


def test_what_differs_is_not_mixed() -> None:
    """Other shapes behind the batch axis and other outputs have queues of their own, served in their order."""
    free = TensorSpec("x", "float32", (None, None))
    outputs = [TensorSpec(name, "float32", (None, None)) for name in "yz"]
    runner = Doubling(inputs=[free], outputs=outputs)
    queue = batcher(runner)

    async def main() -> list[Any]:
        short, long = ({"x": np.ones((1, n), np.float32)} for n in (2, 3))
        return await asyncio.gather(
            *(queue.run(short), queue.run(long), queue.run(short)),
            *(queue.run(short, ["z"]), queue.run(long, ["z", "y"])),
        )

    answers = asyncio.run(main())
    assert runner.sizes == [2, 1, 1, 1]
    assert [sorted(x) for x in answers] == [["y", "z"]] * 3 + [["z"], ["y", "z"]]
    assert [x["z"].shape for x in answers] == [(1, n) for n in (2, 3, 2, 2, 3)]
    assert all((x["z"] == 3).all() for x in answers)


def test_one_bad_request_fails_alone() -> None:
    runner = Doubling()
    queue = batcher(runner)
    good, bad, other = asked(queue, [rows(1, 4), rows(1, -100), rows(2, 5)])
    assert (good["y"] == 8).all() and (other["y"] == 10).all() and other["y"].shape == (2, 2)
    assert bad.code == "INVALID_ARGUMENT"
    assert str(bad) == "'m' can't compute this request: no negative numbers"
    assert runner.sizes == [4, 1, 1, 2, 2]  # all; each alone; the example, which works


def test_a_model_that_fails_on_all_data_says_so() -> None:
    runner = Doubling()
    queue = batcher(runner)

    def broken(inputs: Any, outputs: Any) -> list[Any]:
        raise RuntimeError("no device")

    runner.run = broken  # type: ignore[method-assign]
    (failure,) = asked(queue, [rows(1)])
    assert failure.code == "INTERNAL"
    assert str(failure) == "The model 'm' fails on any data: no device"


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ((TensorSpec("x", "float32", (1, 2)),), (Y,)),
        ((TensorSpec("x", "float32", (2,)),), (TensorSpec("y", "float32", (2,)),)),
    ],
    ids=["fixed", "none"],
)
def test_models_without_a_batch_axis_are_not_batched(inputs: Any, outputs: Any) -> None:
    runner = Doubling(inputs=inputs, outputs=outputs)
    queue = batcher(runner)
    shape = inputs[0].shape
    answers = asked(queue, [{"x": np.full(shape, i, np.float32)} for i in range(3)])
    assert len(runner.sizes) == 3 and queue.counters.sizes == {1: 3}
    assert [float(x["y"].max()) for x in answers] == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("dtype", "mix"),
    [
        ("float32", lambda x: x - x.mean(0)),
        ("float32", lambda x: 1e-6 * (x - x.mean(0))),
        ("float32", lambda x: x.cumsum(0)),
        ("int32", lambda x: x - x.min(0)),
    ],
    ids=["mean", "small", "later", "integers"],
)
def test_models_that_mix_rows_are_not_batched(dtype: str, mix: Any) -> None:
    """Found by computing each row alone and beside another one."""

    class Mixing(Doubling):
        def run(self, inputs: Any, outputs: Any) -> list[Any]:
            self.sizes.append(len(inputs["x"]))
            return [mix(inputs["x"])]

    specs = [TensorSpec(name, dtype, (None, 2)) for name in "xy"]
    runner = Mixing(inputs=specs[:1], outputs=specs[1:])
    queue = batcher(runner)
    assert not queue.model.batched
    given = [np.ones((1, 2), dtype), np.array([[0, 0], [2, 2]], dtype)]
    answers = asked(queue, [{"x": x} for x in given])
    assert runner.sizes == [1, 2]
    np.testing.assert_array_equal(answers[1]["y"], mix(given[1]))


def test_all_sizes_are_warm_before_the_first_request() -> None:
    runner = Doubling()
    model = Model(runner)
    assert runner.sizes == [2, 2, 1, 1]  # whether it runs, and keeps rows apart
    model.warm(Options(max_batch=6).sizes)
    assert runner.sizes[4:] == [1, 1, 2, 2, 4, 4, 6, 6] and sorted(model.seconds) == [1, 2, 4, 6]


def test_short_runs_stay_in_the_loop() -> None:
    """A hop to a thread and back costs more than they take; long ones have a thread, so that the loop goes on."""
    import threading

    class Where(Doubling):
        def run(self, inputs: Any, outputs: Any) -> list[Any]:
            self.where = threading.current_thread() is threading.main_thread()
            return super().run(inputs, outputs)

    for seconds in (0.0005, 0.002):
        runner = Where()
        queue = batcher(runner)
        queue.model.seconds[1] = seconds  # as measured
        asked(queue, [rows(1)])
        assert runner.where == (seconds < 0.001)
        assert not queue.takes_long  # nobody waits
        queue.waiting, queue.model.seconds[1] = 1, seconds
        assert queue.takes_long == (seconds > 0.001)


def test_ten_thousand_requests_get_their_own_answers() -> None:
    runner = Doubling(0.0002)
    queue = batcher(runner, max_queue=100_000)
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 6, 10_000)

    async def one(tag: int, n: int) -> bool:
        await asyncio.sleep(float(tag % 40) / 1000)
        answer = await queue.run(rows(n, tag))
        return bool(answer["y"].shape == (n, 2) and (answer["y"] == 2 * tag).all())

    async def main() -> list[bool]:
        return await asyncio.gather(*(one(tag, int(n)) for tag, n in enumerate(sizes)))

    assert all(asyncio.run(main()))
    assert set(runner.sizes) <= set(queue.limits.sizes)


def test_watching() -> None:
    seen: list[tuple[list[Execution], list[float]]] = []
    queue = Batcher(Model(Doubling()), Options(), lambda *told: seen.append(told))  # type: ignore[arg-type]
    asked(queue, [rows(1), rows(2)])
    ((executions, waited),) = seen
    assert len(waited) == 2
    assert [(x.rows, x.size) for x in executions] == [(3, 4)]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "A request has the model's inputs: 'm' takes (x: float32 (None, 2)) and gives (y: float32 (None, 2)). "
             "Received: []."),
        ({"x": np.ones((1, 3))}, "An input has the model's dtype and shape: x: float32 (None, 2). Received: float32 "
                                 "(1, 3)."),
        ({"x": np.ones(2)}, "An input has the model's dtype and shape: x: float32 (None, 2). Received: float32 (2,)."),
        ({"x": np.array([["a", "b"]])}, "An input has the model's dtype and shape: x: float32 (None, 2). Received: "
                                        "<U1 (1, 2)."),
        ({"x": np.ones((0, 2))}, "All inputs have the same number of rows, at least one. Received: 'x' of shape "
                                 "(0, 2)."),
    ],
)  # fmt: skip
def test_what_does_not_fit(inputs: Any, message: str) -> None:
    (failure,) = asked(batcher(Doubling()), [inputs])
    assert (failure.code, str(failure)) == ("INVALID_ARGUMENT", message)


def test_outputs_that_are_not_there() -> None:
    (failure,) = asked(batcher(Doubling()), [rows(1)], outputs=["z"])
    assert failure.code == "INVALID_ARGUMENT"
    assert str(failure).endswith("and gives (y: float32 (None, 2)). Received: ['z'].")


@pytest.mark.parametrize(
    ("given", "dtype", "fits"),
    [
        ([[1, 2]], "float32", True),
        (np.array([[1.5, 2]]), "float16", True),
        (np.array([[1, 2]]), "int8", True),
        (np.array([[1, 300]]), "int8", False),
        (np.array([[1.0, 2]]), "int32", False),
        (np.array([[-1, 2]]), "uint8", False),
        (np.array([[True, False]]), "bool", True),
        (np.array([[1, 0]]), "bool", False),
    ],
)
def test_dtypes_that_lose_no_more_than_digits(given: Any, dtype: str, fits: bool) -> None:
    specs = [TensorSpec(name, dtype, (None, 2)) for name in "xy"]
    model = Model(Doubling(inputs=specs[:1], outputs=specs[1:]))
    if fits:
        assert model.fitted({"any": given})["x"].dtype == dtype
    else:
        with pytest.raises(Failure, match="An input has the model's dtype and shape"):
            model.fitted({"any": given})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch": 0}, "`max_batch` must be a positive integer. Received: max_batch=0."),
        ({"batch_sizes": (4, 2)}, "`batch_sizes` must be positive integers that rise. Received: batch_sizes=(4, 2)."),
        ({"max_delay_ms": -1}, "`max_delay_ms` must be a number from 0 on. Received: max_delay_ms=-1."),
        ({"poll": float("nan")}, "`poll` must be a number from 0 on. Received: poll=nan."),
        ({"port": 99999}, "`port` must be an integer from 0 to 65535. Received: port=99999."),
        ({"grpc_port": 8501}, "HTTP and gRPC have a port each. Received: port=8501, grpc_port=8501."),
        ({"versions": 0}, "`versions` must be a positive integer. Received: versions=0."),
    ],
)  # fmt: skip
def test_options_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Options(**options)
    assert str(caught.value) == message


def test_three_times_too_many() -> None:
    """Those that are taken wait no longer than the queue takes; the others are refused at once."""
    runner = Doubling(0.01)
    queue = batcher(runner, max_batch=4, max_queue=16)  # 400 rows a second
    waited: list[int] = []

    async def one() -> None:
        before = len(runner.sizes)
        try:
            await queue.run(rows(1))
        except Failure as failure:
            assert failure.code == "RESOURCE_EXHAUSTED" and len(runner.sizes) == before
        else:
            waited.append(len(runner.sizes) - before)  # runs, which a busy machine makes no more

    async def main() -> None:
        tasks = []
        for _ in range(50):
            tasks += [asyncio.create_task(one()) for _ in range(12)]
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    refused = queue.counters.failures["RESOURCE_EXHAUSTED"]
    assert len(waited) + refused == 600 and refused > 100 and len(waited) > 50
    assert max(waited) <= 16 / 4 + 2
    assert queue.waiting == 0 and not queue._queues
