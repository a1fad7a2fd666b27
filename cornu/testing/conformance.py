"""The conformance suite: whether an engine does what the contract says.

`python -m cornu.testing.conformance NAME` runs it on an engine that is built in or found through the
entry point `cornu.engines`, and shows what fails. The exit code is 1 if anything does.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import optree

from .. import engines
from ..core.op import OPS
from ..engines.contract import Engine
from ..engines.indexing import indexed
from . import models
from .primitives import ROWS, draw

Check = Callable[[Any], None]

#: What a group of checks is called, and the group.
GROUPS: dict[str, dict[str, Check]] = {}


def group(title: str) -> Callable[[Check], Check]:
    """Put a check into a group."""

    def put(check: Check) -> Check:
        GROUPS.setdefault(title, {})[check.__name__] = check
        return check

    return put


@dataclass
class Result:
    """What came of one check: an error's text, or none; or the reason why the engine refuses it."""

    group: str
    name: str
    error: str | None = None
    refused: str | None = None


def run(engine: Engine, titles: Sequence[str] | None = None) -> Iterator[Result]:
    """The result of every check that concerns an engine, or of those of some groups."""
    for title, checks in {"primitives": _primitives(engine), **GROUPS}.items():
        if titles is not None and title not in titles:
            continue
        for name, check in checks.items():
            if name in engine.refused:
                yield Result(title, name, refused=engine.refused[name])
                continue
            try:
                check(engine)
            except Exception as error:
                yield Result(title, name, f"{type(error).__name__}: {str(error).strip()}")
            else:
                yield Result(title, name)


def _primitives(engine: Engine) -> dict[str, Check]:
    """The rows of each primitive; on a twin without overrides of those alone that have a default body."""

    def checked(name: str) -> Check:
        def check(engine: Any) -> None:
            for row in ROWS[name]:
                row.check(engine)

        return check

    kept = [n for n in ROWS if engine.overrides or hasattr(getattr(Engine, n), "is_default")]
    return {name: checked(name) for name in kept}


# -------------------------------------------------------------------- contract


def _public(names: Any) -> set[str]:
    return {name for name in names if not name.startswith("_")}


@group("contract")
def has_no_other_names(engine: Any) -> None:
    """A public method is a primitive or takes the place of an op: another name is likely misspelled."""
    kind = type(engine)
    bases = [name for base in kind.__mro__[1:] for name in vars(base)]
    importlib.import_module("cornu.quantizers")  # whose ops count too
    known = _public([*bases, *Engine.__annotations__]) | set(OPS)
    assert not kind.__abstractmethods__, f"missing: {sorted(kind.__abstractmethods__)}"
    assert _public(vars(kind)) <= known, f"unknown: {sorted(_public(vars(kind)) - known)}"


@group("contract")
def refuses_few(engine: Any) -> None:
    """At most one op in twenty, and nothing that does not exist."""
    names = set(engine.refused)
    assert names <= _public(vars(Engine)) | set(OPS), f"unknown: {sorted(names - set(OPS))}"
    assert len(names & set(OPS)) <= 0.05 * len(OPS), f"{len(names)} refused"


# ------------------------------------------------------------------ conversion


class Foreign:
    """An object of another library."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array([1.5, 2.5])


class Exported:
    """A tensor that gives its memory away by DLPack only."""

    def __init__(self) -> None:
        self.values = np.array([1.5, 2.5], "float32")
        self.__dlpack__ = self.values.__dlpack__
        self.__dlpack_device__ = self.values.__dlpack_device__


#: A value, the dtype that is asked for, and the one that comes, unless the engine narrows it.
CONVERSIONS: list[tuple[Any, str | None, str]] = [
    (True, None, "bool"),
    (3, None, "int32"),
    (2.5, None, "float32"),
    (1 + 2j, None, "complex64"),
    ([], None, "float32"),
    ([1, 2], None, "int32"),
    ([[1, 2], (3, 4.5)], None, "float32"),
    ([True, False], None, "bool"),
    (3_000_000_000, "uint32", "uint32"),
    ([1.9, 2.1], "int32", "int32"),
    ([1, 0], "bool", "bool"),
    ([1e9], "float16", "float16"),
    (np.float64(2), None, "float64"),
    (np.arange(3), None, "int64"),
    (np.arange(3), "float32", "float32"),
    (np.ones(2), "int64", "int64"),
    (np.ones(2), "bfloat16", "bfloat16"),
    (np.ones(2), "float8_e5m2", "float8_e5m2"),
    (np.ones(2, ml_dtypes.bfloat16), None, "bfloat16"),
    (np.ones(2, "complex128"), None, "complex128"),
    (np.float16(1), None, "float16"),
    (Foreign(), "float32", "float32"),
]


@group("conversion")
def converts(engine: Any) -> None:
    """Numbers, nested lists and arrays become tensors, and arrays again."""
    one = engine.full((), 1, "float32")
    lists = [([np.float32(1), one, 2.0], None, "float32")]
    for value, dtype, found in CONVERSIONS + lists:
        tensor = engine.convert_to_tensor(value, dtype)
        hosts = [_host(engine, x) for x in value] if isinstance(value, list) else value
        expected = np.asarray(hosts)
        assert engine.is_tensor(tensor), value
        kind = engine.canonical_dtype(found)
        assert engine.dtype_of(tensor) == kind, (value, engine.dtype_of(tensor), kind)
        assert engine.shape_of(tensor) == expected.shape, value
        if dtype not in ("float16", "int32"):
            result = engine.convert_to_numpy(tensor)
            assert np.array_equal(result.astype("complex64"), expected.astype("complex64")), value
    assert engine.shape_of(engine.convert_to_tensor([[]])) == (1, 0)


def _host(engine: Any, x: Any) -> Any:
    return engine.convert_to_numpy(x) if engine.is_tensor(x) else x


@group("conversion")
def refuses_what_is_no_number(engine: Any) -> None:
    """Text and objects are a TypeError that says so, integers that don't fit an OverflowError."""
    for wrong in ("text", ["a", "b"], [object()]):
        _raises(TypeError, "holds numbers", engine.convert_to_tensor, wrong)
    _raises(OverflowError, "", engine.convert_to_tensor, [2**40])


def _raises(kind: type[Exception], text: str, call: Callable[..., Any], *args: Any) -> None:
    try:
        call(*args)
    except kind as error:
        assert text in str(error), f"{text!r} is not in {error}"
    else:
        raise AssertionError(f"no {kind.__name__} for {args}")


@group("conversion")
def knows_python_numbers(engine: Any) -> None:
    """They adapt to tensors beside them; the fast path knows the classes of tensors."""
    assert [engine.weak_type(x) for x in (True, 3, 2.5)] == [bool, int, float]
    assert [engine.dtype_of(x) for x in (True, 3, 2.5)] == ["bool", "int32", "float32"]
    assert engine.shape_of(2.5) == () and not engine.is_tensor(2.5)
    assert engine.native >= {type(None), bool, int, float, np.ndarray}
    assert type(engine.full((2,), 1, "float32")) in engine.native
    total = engine.sum(engine.full((2,), 1, "float32"), (0,), False)
    assert type(total) in engine.native and engine.is_tensor(total)


@group("conversion")
def shares_no_memory(engine: Any) -> None:
    """What the caller does to his array later changes no container and no tensor of a foreign one."""
    base = np.ones(1 << 12, "float32")
    container = engine.container(base, True)
    written = engine.write(engine.container(base, True), engine.convert_to_tensor(base))
    base[:] = 5
    assert engine.convert_to_numpy(engine.read(container))[0] == 1
    assert engine.convert_to_numpy(engine.read(written))[0] == 1
    foreign = Exported()
    tensor = engine.convert_to_tensor(foreign)
    foreign.values[:] = 5
    assert engine.convert_to_numpy(tensor).tolist() == [1.5, 2.5]


@group("conversion")
def knows_its_devices(engine: Any) -> None:
    """The CPU is there; a device that isn't is a ValueError."""
    with engine.device("cpu:0"):
        x = engine.full((2,), 1, "float32")
    engine.synchronize(x)
    _raises(ValueError, "device must exist", engine.device, "no_such_device:9")


@group("conversion")
def refuses_indices_out_of_range(engine: Any) -> None:
    """Integers that no axis has are an IndexError."""
    x = engine.convert_to_tensor(draw(2, 3, 4))
    for key in [(2,), (0, Ellipsis, -5), (slice(None), None, 3), (Ellipsis, 4)]:
        _raises(IndexError, "within its axis", indexed, engine, x, key)


# -------------------------------------------------------------- decompositions


@group("decompositions")
def qr(engine: Any) -> None:
    """The factors multiply back."""
    for x in _matrices():
        for mode in ("reduced", "complete"):
            q, r = _numbers(engine, engine.qr(engine.convert_to_tensor(x), mode))
            assert q.shape == np.linalg.qr(x, mode)[0].shape
            np.testing.assert_allclose(q @ r, x, 1e-4, 1e-4)


@group("decompositions")
def svd(engine: Any) -> None:
    """The factors multiply back."""
    for x in _matrices():
        for full in (True, False):
            u, s, v = _numbers(engine, engine.svd(engine.convert_to_tensor(x), full))
            k = s.shape[-1]
            assert u.shape[-1] == (x.shape[-2] if full else k)
            back = (u[..., :k] * s[..., None, :]) @ v[..., :k, :]
            np.testing.assert_allclose(back, x, 1e-4, 1e-4)


@group("decompositions")
def eigh(engine: Any) -> None:
    """Eigenvectors are only scaled; eigenvalues ascend."""
    x = _symmetric()
    values, vectors = _numbers(engine, engine.eigh(engine.convert_to_tensor(x)))
    np.testing.assert_allclose(x @ vectors, vectors * values[..., None, :], 1e-3, 1e-3)
    assert values.dtype == np.float32 and np.all(np.diff(values) >= 0)


@group("decompositions")
def eig(engine: Any) -> None:
    """Eigenvectors are only scaled; the results are complex."""
    for x in (_matrices()[0], _symmetric()):
        values, vectors = _numbers(engine, engine.eig(engine.convert_to_tensor(x)))
        assert values.dtype == vectors.dtype == np.complex64
        np.testing.assert_allclose(x @ vectors, vectors * values[..., None, :], 1e-3, 1e-3)


def _matrices() -> list[Any]:
    generator = np.random.default_rng(3)
    return [generator.uniform(-3, 3, n).astype("float32") for n in ((2, 4, 4), (5, 3), (2, 3, 5))]


def _symmetric() -> Any:
    square = _matrices()[0]
    return square + np.swapaxes(square, 1, 2)


def _numbers(engine: Any, tree: Any) -> Any:
    return optree.tree_map(engine.convert_to_numpy, tree)


# ---------------------------------------------------------------- control flow


def _lists(engine: Any, tree: Any) -> Any:
    return optree.tree_map(lambda x: np.asarray(engine.convert_to_numpy(x)).tolist(), tree)


@group("control flow")
def cond(engine: Any) -> None:
    """One of two branches, with Python numbers among the results."""
    one, two = engine.full((), 1, "float32"), engine.full((), 2, "float32")
    for pred in (True, np.True_, engine.less(one, two)):
        found = engine.cond(pred, lambda: (one, 2.0), lambda: (two, 3.0))
        assert _lists(engine, found) == (1, 2)


@group("control flow")
def while_loop(engine: Any) -> None:
    """A state of several parts, and of one."""
    one = engine.full((), 1, "float32")
    state = engine.while_loop(lambda i, x: i < 5, lambda i, x: [i + 1, x * 2], (0, one))
    assert _lists(engine, state) == (5, 32)
    assert _lists(engine, engine.while_loop(lambda i: i < 5, lambda i: i + 1, (0,))) == (5,)


@group("control flow")
def scan(engine: Any) -> None:
    """Both ways, over a tree, over a number of steps, and over nothing."""
    one = engine.full((), 1, "float32")
    xs = {"a": engine.arange(1, 4, 1, "float32"), "b": engine.full((3, 2), 1, "float32")}

    def step(carry: Any, x: Any) -> Any:
        return carry * 2 + x["a"], (carry, x["b"] * x["a"])

    rows = [[1, 1], [2, 2], [3, 3]]
    found = engine.scan(step, one, xs, None, False)
    assert _lists(engine, found) == (19, ([1, 3, 8], rows))
    found = engine.scan(step, one, xs, None, True)
    assert _lists(engine, found) == (25, ([12, 5, 1], rows))
    counted = engine.scan(lambda c, x: (c + 1, c), engine.full((), 0, "int32"), None, 4, False)
    assert _lists(engine, counted) == (4, [0, 1, 2, 3])
    none = {name: engine.slice_axis(x, 0, 0, 0) for name, x in xs.items()}
    carry, (before, scaled) = engine.scan(step, one, none, None, False)
    assert _lists(engine, carry) == 1
    assert engine.shape_of(before) == (0,) and engine.shape_of(scaled) == (0, 2)


@group("control flow")
def vectorized_map(engine: Any) -> None:
    """A function of one slice, of a tree of them."""
    xs = {"a": engine.arange(1, 4, 1, "float32"), "b": engine.full((3, 2), 1, "float32")}
    found = engine.vectorized_map(lambda x: (x["a"] + 1, engine.sum(x["b"], (0,), False)), xs)
    assert _lists(engine, found) == ([2, 3, 4], [2, 2, 2])


@group("control flow")
def eval_shape(engine: Any) -> None:
    """Shapes and dtypes of a tree of results."""
    found = engine.eval_shape(
        lambda x, y: (engine.matmul(x, y), {"n": engine.sum(x, (0, 1), False)}),
        ((2, 3), "float32"),
        ((3, 4), "float32"),
    )
    assert found == (((2, 4), "float32"), {"n": ((), "float32")})


@group("control flow")
def on_host(engine: Any) -> None:
    """A function of NumPy's, of tensors and of strings, which are none."""
    x, words = engine.full((2,), 3, "float32"), np.array(["a", "b"])

    def function(x: Any, words: Any) -> list[Any]:
        return [x * 2, np.char.add(words, "c")]

    found = engine.on_host(function, [x, words], [((2,), "float32"), ((2,), "string")])
    assert [part.tolist() for part in found] == [[6.0, 6.0], ["ac", "bc"]]


@group("control flow")
def remat(engine: Any) -> None:
    """The function's own result, with any arguments."""
    one = engine.full((), 1, "float32")
    kept = engine.remat(lambda x, flag, by=1: x * by if flag else x)
    assert _lists(engine, kept(one, True, by=3)) == 3


# ------------------------------------------------------------- differentiation


def trains(check: Check) -> Check:
    """A check of engines on which models can be trained."""

    @functools.wraps(check)
    def run(engine: Any) -> None:
        if engine.trains:
            check(engine)

    return run


@group("differentiation")
@trains
def value_and_grad(engine: Any) -> None:
    """A gradient for each float, none for integers and for what is None; anything beside the value."""
    values = [engine.convert_to_tensor([1.0, 2.0]), engine.arange(0, 2, 1, "int32"), None]

    def loss(values: list[Any]) -> Any:
        square = engine.multiply(values[0], values[0])
        scaled = engine.multiply(square, engine.cast(values[1], "float32"))
        return engine.sum(scaled, (0,), False), {"name": "aux", "n": None}

    (result, aux), gradients = engine.value_and_grad(loss)(values)
    assert _lists(engine, result) == 4 and aux == {"name": "aux", "n": None}
    assert _lists(engine, gradients[0]) == [0, 4] and gradients[1:] == [None, None]


@group("differentiation")
@trains
def vjp_and_jvp(engine: Any) -> None:
    """Both ways along a product and a square."""
    two, three, one = (engine.full((), n, "float32") for n in (2, 3, 1))
    result, pull = engine.vjp(engine.multiply, two, three)
    assert _lists(engine, (result, tuple(pull(one)))) == (6, (3, 2))
    found = engine.jvp(lambda x: engine.multiply(x, x), [three], [one])
    assert _lists(engine, tuple(found)) == (9, 6)


@group("differentiation")
@trains
def custom_gradient(engine: Any) -> None:
    """The gradient that was given, not that of the body."""
    doubled = engine.custom_gradient(lambda x, *, by=2: (x * by, lambda g: g * 10))
    one = engine.full((), 1, "float32")
    assert _lists(engine, doubled(one)) == 2
    result, pull = engine.vjp(doubled, one)
    assert _lists(engine, (result, tuple(pull(one)))) == (2, (10,))


@group("differentiation")
@trains
def gradients_of_gradients(engine: Any) -> None:
    """The second derivative of a cube."""

    def slope(x: Any) -> Any:
        def cube(values: list[Any]) -> Any:
            return engine.multiply(engine.multiply(values[0], values[0]), values[0]), None

        return engine.value_and_grad(cube)([x])[1][0]

    three, one = engine.full((), 3, "float32"), engine.full((), 1, "float32")
    result, pull = engine.vjp(slope, three)
    assert _lists(engine, (result, tuple(pull(one)))) == (27, (18,))


@group("differentiation")
@trains
def stop_gradient_and_remat(engine: Any) -> None:
    """What is stopped is constant; what is computed again has its gradient."""
    three, one = engine.full((), 3, "float32"), engine.full((), 1, "float32")
    _, pull = engine.vjp(lambda x: engine.multiply(x, engine.stop_gradient(x)), three)
    assert _lists(engine, tuple(pull(one))) == (3,)
    _, pull = engine.vjp(engine.remat(lambda x: engine.multiply(x, x)), three)
    assert _lists(engine, tuple(pull(one))) == (6,)


# ---------------------------------------------------------------------- random


@group("random numbers")
def random_gamma(engine: Any) -> None:
    """The right mean; the same numbers from the same key."""
    alpha = engine.convert_to_tensor([0.5, 4.0])
    x = _drawn(engine, "random_gamma", 1, (4000, 2), alpha, "float32")
    assert x.dtype == np.float32 and np.allclose(x.mean(0), [0.5, 4], atol=0.2) and x.min() >= 0
    first, again, other = (
        _drawn(engine, "random_gamma", seed, (5, 2), alpha, "float32") for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@group("random numbers")
def random_binomial(engine: Any) -> None:
    """The right mean, and no more successes than trials."""
    trials, chance = engine.convert_to_tensor([3.0, 50.0]), engine.full((), 0.3, "float32")
    x = _drawn(engine, "random_binomial", 1, (4000, 2), trials, chance, "int32")
    assert x.dtype == np.int32 and np.allclose(x.mean(0), [0.9, 15], atol=0.4) and x.max() <= 50


def _drawn(engine: Any, name: str, seed: int, *args: Any) -> Any:
    key = engine.convert_to_tensor(np.array([seed, 7], "uint32"))
    return engine.convert_to_numpy(getattr(engine, name)(key, *args))


# -------------------------------------------------------------- compiled steps


class Values:
    """A state as the contract asks for it: what variables hold, and what a step binds to them."""

    def __init__(self, engine: Any, changing: list[Any], constant: list[Any]) -> None:
        self.engine = engine
        self.held = [engine.container(x, True) for x in changing]
        self.fixed = [engine.container(x, True) for x in constant]
        self.changing: list[Any] = []
        self.constant: list[Any] = []

    def read(self) -> tuple[list[Any], list[Any]]:
        """The values that are held."""
        read = self.engine.read
        return [read(x) for x in self.held], [read(x) for x in self.fixed]

    def layouts(self) -> tuple[list[Any], list[Any]]:
        """They lie on one device."""
        return [None for _ in self.held], [None for _ in self.fixed]

    def containers(self) -> tuple[list[Any], list[Any]]:
        """What holds them."""
        return list(self.held), list(self.fixed)

    @contextmanager
    def bound(self, changing: Sequence[Any], constant: Sequence[Any]) -> Iterator[Any]:
        """Within it a step sees these values."""
        before = self.changing, self.constant
        self.changing, self.constant = list(changing), list(constant)
        try:
            yield lambda: self.changing
        finally:
            self.changing, self.constant = before

    def write(self, changing: Sequence[Any]) -> None:
        """Hold new values."""
        pairs = zip(self.held, changing, strict=True)
        self.held = [self.engine.write(container, value) for container, value in pairs]


@group("compiled steps")
def keeps_its_state(engine: Any) -> None:
    """Ten calls change the state ten times; trees of results come back, None among them."""
    state = Values(engine, [np.zeros(3, "float32"), np.int32(0)], [np.float32(2)])
    one = engine.full((), 1, "int32")

    def step(x: Any, extra: Any) -> Any:
        total, count = state.changing
        total = engine.add(total, engine.multiply(x["x"], state.constant[0]))
        state.changing[:] = [total, engine.add(count, one)]
        return {"sum": engine.sum(total, (0,), False), "extra": extra}

    call = _stepped(engine, step, state)
    for turn in range(10):
        result = call({"x": np.ones(3, "float32")}, None)
        assert result["extra"] is None
        assert float(engine.convert_to_numpy(result["sum"])) == 6 * (turn + 1)
    assert _lists(engine, state.read()[0]) == [[20, 20, 20], 10]


@group("compiled steps")
def loses_nothing_when_it_fails(engine: Any) -> None:
    """A step that raises leaves the state as it was, and the next call works."""
    state = Values(engine, [np.ones(3, "float32")], [])
    fails = [False]

    def step(x: Any) -> Any:
        state.changing[0] = engine.add(state.changing[0], x)
        if fails[0]:
            raise KeyError("stop")
        return x

    for size, fail in ((3, False), (1, True), (3, False)):
        call = _stepped(engine, step, state)
        fails[0] = fail
        x = np.ones(size, "float32")
        if fail:
            _raises(KeyError, "stop", call, x)
        else:
            call(x)
    assert _lists(engine, state.read()[0]) == [[3, 3, 3]]


def _stepped(engine: Any, step: Callable[..., Any], state: Values) -> Callable[..., Any]:
    """The compiled step; an engine without a compilation runs the step on what it binds."""
    call = engine.compile(step, state)
    if call is not step:
        return call

    def direct(*args: Any) -> Any:
        with state.bound(*state.read()) as collect:
            given: Any = args
            result = step(*optree.tree_map(engine.convert_to_tensor, given))
            after = collect()
        state.write(after)
        return result

    return direct


# ---------------------------------------------------------------------- models


def _model_check(name: str) -> Check:
    def check(engine: Any) -> None:
        expected = models.curve(name, "numpy")
        found = models.curve(name, engine)
        np.testing.assert_allclose(found, expected, 1e-3)

    check.__doc__ = f"The {name} model learns as it does on NumPy."
    return trains(check)


for _name in models.MODELS:
    GROUPS.setdefault("training", {})[_name] = _model_check(_name)


# ------------------------------------------------------------------ the command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite on an engine and show what came of it."""
    parser = argparse.ArgumentParser("python -m cornu.testing.conformance", description=__doc__)
    parser.add_argument("engine", help="the engine's name")
    parser.add_argument("--verbose", action="store_true", help="show whole errors")
    options = parser.parse_args(arguments)
    try:
        engine = engines.get(options.engine)
    except (ValueError, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    return _show(engine, options.verbose)


def _show(engine: Engine, verbose: bool) -> int:
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    console = Console()
    total = len(_primitives(engine)) + sum(map(len, GROUPS.values()))
    results = list(track(run(engine), f"Checking {engine.name}", total, console=console))
    table = Table("", "passed", "refused", "failed", title=f"The {engine.name} engine")
    for title in dict.fromkeys(result.group for result in results):
        mine = [result for result in results if result.group == title]
        refused, failed = (
            sum(getattr(r, k) is not None for r in mine) for k in ("refused", "error")
        )
        table.add_row(title, *map(str, (len(mine) - refused - failed, refused, failed)))
    console.print(table)
    for result in results:
        if result.refused is not None:
            console.print(f"[dim]refused {result.name}:[/] {result.refused}", highlight=False)
        if result.error is not None:
            text = result.error if verbose else result.error.splitlines()[0]
            console.print(f"[red]failed {result.group}, {result.name}:[/] {text}", highlight=False)
    return int(any(result.error is not None for result in results))


if __name__ == "__main__":
    sys.exit(main())
