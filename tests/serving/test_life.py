"""What becomes of models while they are served: new versions, broken ones, others that need the memory."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornu import Sequential, initializers, layers
from cornu.serving import Failure, Model, Options
from cornu.serving._layout import models_in
from cornu.serving._repository import ModelConfig, Repository

from .runners import Doubling, rows


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The file of a version, which gives x times its number."""
    folder = tmp_path_factory.mktemp("models")

    def made(number: int) -> Path:
        path = folder / f"{number}.onnx"
        if not path.exists():
            kernel = initializers.Constant(float(number))
            dense = layers.Dense(1, use_bias=False, kernel_initializer=kernel, name="y")
            Sequential([layers.Input((1,), name="x"), dense]).export(path, verbose=False)
        return path

    return made


def put(file: Path, place: Path) -> None:
    """Write a file as exporters do: elsewhere, and then renamed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, place.with_suffix(".tmp"))
    os.replace(place.with_suffix(".tmp"), place)


def running(test: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(test(), 30))


async def factor(repository: Repository, name: str, *which: Any) -> int:
    """What a model multiplies by: the number of the version that has answered."""
    answer = await repository.find(name, *which).run({"x": np.ones((1, 1), np.float32)})
    return int(answer["y"][0, 0])


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def states(repository: Repository, name: str = "m") -> dict[int, str]:
    return {status.version: status.state for status in repository.statuses(name)}


@contextmanager
def refused(code: str, message: str) -> Iterator[None]:
    with pytest.raises(Failure) as caught:
        yield
    assert (caught.value.code, str(caught.value)) == (code, message)


@pytest.mark.parametrize(
    ("tree", "path", "name", "found"),
    [
        ("m.onnx", "m.onnx", None, {"m": [1]}),
        ("m.keras", "m.keras", "n", {"n": [1]}),
        ("m/1/a.onnx m/12/b.keras", "m", None, {"m": [1, 12]}),
        ("m/1/a.onnx m/99999999999999999999/a.onnx m/٣/a.onnx", "m", None, {"m": [1]}),
        ("m/1/a.onnx m/2/readme.txt m/x/a.onnx", "m", None, {"m": [1]}),
        ("r/a/1/x.onnx r/b/model.keras r/c.onnx r/notes.txt", "r", None,
         {"a": [1], "b": [1], "c": [1]}),
        ("r/a/1/model.weights.h5 r/a/1/config.json", "r", None, {"a": [1]}),
        ("r/a/notes.txt r/.b/1/a.onnx", "r", None, {"a": []}),
    ],
)  # fmt: skip
def test_what_a_path_means(tree: str, path: str, name: Any, found: Any, tmp_path: Path) -> None:
    for file in tree.split():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    models = models_in(tmp_path / path, name)
    assert {key: list(versions) for key, versions in models.items()} == found


def test_of_several_files_the_one_called_model(tmp_path: Path) -> None:
    for file in ("a.onnx", "model.onnx"):
        (tmp_path / "1").mkdir(exist_ok=True)
        (tmp_path / "1" / file).touch()
    assert models_in(tmp_path, "m")["m"][1].name == "model.onnx"


def test_a_path_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a folder of models\. Received: .*gone'"):
        models_in(tmp_path / "gone")


def test_a_new_version_takes_over_without_a_gap(files: Any, tmp_path: Path) -> None:
    """Under load: each request is answered, by the old version and then by the new one."""
    put(files(1), tmp_path / "m/1/model.onnx")
    answers: list[int] = []

    async def ask(repository: Repository) -> None:
        while answers[-1:] != [2]:
            answers.append(await factor(repository, "m"))
            await asyncio.sleep(0.001)

    async def main() -> None:
        repository = Repository(tmp_path / "m", Options(poll=0.01))
        await repository.start()
        asking = [asyncio.create_task(ask(repository)) for _ in range(8)]
        await asyncio.sleep(0.05)
        put(files(2), tmp_path / "m/2/model.onnx")
        await asyncio.gather(*asking)
        assert sorted(answers) == answers and set(answers) == {1, 2}
        await until(lambda: states(repository) == {1: "END", 2: "AVAILABLE"})
        shutil.rmtree(tmp_path / "m/1")
        await until(lambda: states(repository) == {2: "AVAILABLE"})
        await repository.close()

    running(main)


def test_a_version_that_fails_stays_out(files: Any, tmp_path: Path) -> None:
    """The one before serves on, also in a process that starts then; the reason is told, and the file tried again
    once it changes."""
    put(files(1), tmp_path / "m/1/model.onnx")

    async def main() -> None:
        repository = Repository(tmp_path / "m")
        await repository.start()
        broken = tmp_path / "m/2/model.onnx"
        broken.parent.mkdir()
        broken.write_bytes(b"no model")
        for _ in range(2):
            await repository.poll()
            assert await factor(repository, "m") == 1
            assert states(repository) == {1: "AVAILABLE", 2: "END"}
            assert "no model" not in repository.statuses("m")[0].reason
            assert repository.statuses("m")[1].reason.startswith("InvalidProtobuf: ")
            with pytest.raises(Failure, match=r"version 2 is END InvalidProtobuf") as caught:
                repository.find("m", 2)
            assert caught.value.code == "UNAVAILABLE"
        other = Repository(tmp_path / "m")
        await other.start()
        assert other.ready and await factor(other, "m") == 1
        put(files(2), broken)
        await repository.poll()
        assert await factor(repository, "m") == 2
        assert repository.statuses("m")[1].reason == ""

    running(main)


def test_a_version_whose_weights_come_last(files: Any, tmp_path: Path) -> None:
    """It is tried again once they are there."""
    model = Sequential([layers.Input((1,), name="x"), layers.Dense(4096, name="y")])
    model.export(tmp_path / "from/model.onnx", verbose=False, external_data=True)
    put(files(1), tmp_path / "m/1/model.onnx")
    put(tmp_path / "from/model.onnx", tmp_path / "m/2/model.onnx")

    async def main() -> None:
        repository = Repository(tmp_path / "m")
        await repository.start()
        assert states(repository) == {1: "AVAILABLE", 2: "END"}
        put(tmp_path / "from/model.onnx.data", tmp_path / "m/2/model.onnx.data")
        await repository.poll()
        assert states(repository)[2] == "AVAILABLE"

    running(main)


def test_a_file_that_is_replaced(files: Any, tmp_path: Path) -> None:
    """The same version with other weights; one that is broken leaves the old one in place."""
    place = tmp_path / "m.onnx"
    put(files(1), place)

    async def main() -> None:
        repository = Repository(place)
        await repository.start()
        served = repository.find("m")
        await repository.poll()
        assert repository.find("m") is served
        put(files(3), place)
        await repository.poll()
        assert await factor(repository, "m") == 3
        answer = await served.run({"x": np.ones((1, 1))})  # by whoever still holds the old one
        assert answer["y"] == 1
        place.write_bytes(b"")
        await repository.poll()
        assert await factor(repository, "m") == 3 and repository.statuses("m")[0].reason
        place.unlink()
        with pytest.raises(FileNotFoundError):
            await repository.poll()
        assert await factor(repository, "m") == 3

    running(main)


@pytest.mark.parametrize(
    ("policy", "served"),
    [(1, [3]), (2, [2, 3]), ("all", [1, 2, 3]), ((1, 3), [1, 3]), ((2, 9), [2])],
)
def test_which_versions_are_served(policy: Any, served: Any, files: Any, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put(files(number), tmp_path / f"m/{number}/model.onnx")

    async def main() -> None:
        labels = {"stable": served[0], "none": 7}
        repository = Repository(tmp_path / "m", Options(versions=policy, labels=labels))
        await repository.start()
        assert sorted(states(repository)) == served
        assert await factor(repository, "m") == served[-1]
        assert [await factor(repository, "m", number) for number in served] == served
        assert await factor(repository, "m", None, "stable") == served[0]
        listed = [(name, status.version) for name, status in repository.index()]
        assert listed == [("m", number) for number in served]
        for which, text in (((7,), "Specific(m, 7)"), ((None, "none"), "Specific(m, 7)")):
            with refused(
                "NOT_FOUND", f"Servable not found for request: {text}. Its versions are {served}."
            ):
                repository.find("m", *which)
        with refused(
            "NOT_FOUND",
            "Servable not found for request: Label(m, x). Its labels are ['none', 'stable'].",
        ):
            repository.find("m", None, "x")
        with refused(
            "NOT_FOUND", "Servable not found for request: Latest(n). The models are ['m']."
        ):
            repository.find("n")

    running(main)


def test_models_come_and_go(files: Any, tmp_path: Path) -> None:
    put(files(1), tmp_path / "a.onnx")
    put(files(2), tmp_path / "b/1/model.onnx")

    async def main() -> None:
        repository = Repository(tmp_path)
        await repository.start()
        assert await factor(repository, "a") == 1 and await factor(repository, "b") == 2
        await repository.unload("a")
        await repository.poll()
        with refused("UNAVAILABLE", "'a' has no such version that is AVAILABLE: version 1 is END."):
            repository.find("a")
        await repository.load("a")
        assert await factor(repository, "a") == 1
        with refused("NOT_FOUND", "A model to load must be in the repository. Received: 'c'."):
            await repository.load("c")
        shutil.rmtree(tmp_path / "b")
        put(files(3), tmp_path / "c/5/model.onnx")
        await repository.poll()
        assert [name for name, _ in repository.index()] == ["a", "c"]
        (tmp_path / "d/1").mkdir(parents=True)
        (tmp_path / "d/1/model.onnx").touch()
        with pytest.raises(Failure, match=r"'d' can't be loaded\. \w+: ") as caught:
            await repository.load("d")
        assert caught.value.code == "INVALID_ARGUMENT"

    running(main)


def test_a_list_of_models(files: Any, tmp_path: Path) -> None:
    """What `HandleReloadConfigRequest` asks for; no path leads out of the server's."""
    for number in (1, 2):
        put(files(number), tmp_path / f"root/m/{number}/model.onnx")
    put(files(3), tmp_path / "other/3/model.onnx")

    async def main() -> None:
        repository = Repository(tmp_path / "root")
        await repository.start()
        root = tmp_path / "root"
        await repository.reload([ModelConfig("n", root / "m", (1,), {"old": 1})])
        assert [name for name, _ in repository.index()] == ["n"]
        assert await factor(repository, "n", None, "old") == 1
        (root / "notes.txt").touch()
        for path in (tmp_path / "other", root / "../other", root / "gone", root / "notes.txt"):
            with refused(
                "INVALID_ARGUMENT",
                f"A model's path must be there, in that of the server, {root}. Received: "
                f"{path.resolve()}.",
            ):
                await repository.reload([ModelConfig("o", path)])
        assert await factor(repository, "n") == 1

    running(main)


def test_models_leave_memory_and_come_back(files: Any, tmp_path: Path) -> None:
    """Those that were used least recently, for one that is asked for."""
    for name in "abc":
        put(files(ord(name) - 96), tmp_path / f"{name}.onnx")
    size = files(1).stat().st_size

    async def main() -> None:
        repository = Repository(tmp_path, Options(memory=int(2.5 * size)))
        await repository.start()
        models = {name: repository.find(name).model for name in "abc"}

        def inside() -> str:
            return "".join(name for name, model in models.items() if model.in_memory)

        assert inside() == "bc"
        for name, left in (("b", "bc"), ("a", "ab"), ("b", "ab"), ("c", "bc")):
            assert await factor(repository, name) == ord(name) - 96
            assert inside() == left
        asked = [factor(repository, name) for name in "abc" * 20]
        assert await asyncio.gather(*asked) == [1, 2, 3] * 20

    running(main)


def test_a_model_that_is_larger_than_memory(files: Any, tmp_path: Path) -> None:
    put(files(1), tmp_path / "m.onnx")

    async def main() -> None:
        repository = Repository(tmp_path / "m.onnx", Options(memory=10))
        await repository.start()
        assert not repository.ready
        size = files(1).stat().st_size
        assert repository.statuses("m")[0].reason == (
            f"Failure: A model must fit into `memory`. Received: {size} bytes, memory=10."
        )

    running(main)


@pytest.mark.parametrize("swap", ["before", "after"])
def test_two_versions_in_memory_or_one(swap: str, files: Any, tmp_path: Path) -> None:
    put(files(1), tmp_path / "m/1/model.onnx")
    seen: list[int] = []

    class Watched(Repository):
        def _warm(self, *args: Any) -> Model:
            seen.append(len(self.served()))
            return super()._warm(*args)

    async def main() -> None:
        repository = Watched(tmp_path / "m", Options(swap=swap))
        await repository.start()
        put(files(2), tmp_path / "m/2/model.onnx")
        await repository.poll()
        assert seen == [0, 1 if swap == "before" else 0]
        assert await factor(repository, "m") == 2

    running(main)


def test_requests_under_way_are_answered() -> None:
    """By a version that is let go, and before the repository is closed."""
    runner = Doubling(0.002)

    async def main() -> None:
        repository = Repository(runner)
        await repository.start()
        served = repository.find("m")
        runner.gate.clear()
        asked = [asyncio.create_task(served.run(rows(1))) for _ in range(3)]
        await asyncio.sleep(0.02)
        await repository.unload("m")
        assert states(repository) == {1: "UNLOADING"}
        runner.gate.set()
        assert all((answer["y"] == 2).all() for answer in await asyncio.gather(*asked))
        await until(lambda: states(repository) == {1: "END"})
        await repository.load("m")
        runner.gate.clear()
        last = asyncio.create_task(repository.find("m").run(rows(1)))
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(repository.close())
        await asyncio.sleep(0.02)
        assert not closing.done()
        runner.gate.set()
        await closing
        assert last.done()

    running(main)


def test_readiness(files: Any, tmp_path: Path) -> None:
    """Not before the first models are loaded, nor without any, nor once the process is leaving."""
    put(files(1), tmp_path / "m/1/model.onnx")

    async def main() -> None:
        repository = Repository(tmp_path)
        assert not repository.ready
        await repository.start()
        assert repository.ready
        repository.leaving = True
        assert not repository.ready and await factor(repository, "m") == 1
        (tmp_path / "none").mkdir()
        empty = Repository(tmp_path / "none")
        await empty.start()
        assert not empty.ready and empty.index() == []

    running(main)


def test_memory_is_flat_over_fifty_reloads(files: Any, tmp_path: Path) -> None:
    from tests.suite import resident

    place, sizes = tmp_path / "m/1/model.onnx", []
    wide = Sequential(
        [layers.Input((1,), name="x"), layers.Dense(1000), layers.Dense(500, name="y")]
    )
    wide.export(tmp_path / "wide.onnx", verbose=False)  # 2 MB of weights

    async def main() -> None:
        put(tmp_path / "wide.onnx", place)
        repository = Repository(tmp_path / "m", Options(max_batch=2))
        await repository.start()
        for _ in range(50):
            put(tmp_path / "wide.onnx", place)
            await repository.poll()
            await repository.find("m").run({"x": np.ones((1, 1))})
            sizes.append(resident())

    start = time.monotonic()
    running(main)
    assert time.monotonic() - start < 10
    assert sizes[-1] <= 1.1 * sizes[4] + 1, sizes
