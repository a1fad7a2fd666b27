"""The engine that tells whether a computation keeps the samples of a batch apart.

It is the engine of shapes, for inputs of which one dimension is `SAMPLES`: that dimension shows in every
tensor where the samples lie. A primitive keeps them apart if its result has the dimension wherever an
operand has it, once, and if its rule below agrees: rules are for what keeps shapes and mixes all the same. All
other primitives, and sizes that come to be values, count as mixing. So whether a model may be given a padded
batch follows from its primitives; no layer needs to say it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .. import tuning
from .contract import Engine
from .loops import flatten
from .spec import Dimension, SpecEngine

#: The number of samples, as a size.
SAMPLES = Dimension()

Arguments = dict[str, Any]
#: Whether a primitive on these arguments keeps samples apart, where its result's shape doesn't tell.
Rule = Callable[["SampleEngine", Arguments, Any], bool]


class Mixed(Exception):
    """Samples of a batch are not kept apart."""


def place(engine: SampleEngine, x: Any) -> int | None:
    """The axis along which a tensor has the samples, counted from the last one, which is -1."""
    dims = engine.shape_of(x)
    found = [axis - len(dims) for axis, size in enumerate(dims) if isinstance(size, Dimension)]
    if any(not set(SAMPLES.symbols) <= set(dims[axis].symbols) for axis in found) or found[1:]:
        raise Mixed("a size depends on the samples, or they lie along two axes")
    return found[0] if found else None


def _aligned(engine: SampleEngine, given: Arguments, result: Any) -> bool:
    """Axes are matched from the last one on."""
    operands = [x for x in flatten(given)[0] if engine.is_tensor(x) or hasattr(x, "shape")]
    return len({place(engine, x) for x in (*operands, result)} - {None}) < 2


def _along(parameter: str) -> Rule:
    """What works along an axis, or several."""

    def rule(engine: SampleEngine, given: Arguments, result: Any) -> bool:
        operand = given["x"] if "x" in given else given["xs"][0]
        rank, axes = len(engine.shape_of(operand)), given[parameter]
        axes = axes if isinstance(axes, tuple) else (axes,)
        return place(engine, operand) not in {axis % rank - rank for axis in axes}

    return rule


def _not_last(count: int, *names: str) -> Rule:
    """What works along the last axes of operands."""

    def rule(engine: SampleEngine, given: Arguments, result: Any) -> bool:
        places = [place(engine, given[name]) for name in names]
        return all(at is None or at < -count for at in places)

    return rule


def _without(*names: str) -> Rule:
    """What takes no samples in some operands."""
    return lambda engine, given, result: all(place(engine, given[name]) is None for name in names)


def _reshape(engine: SampleEngine, given: Arguments, result: Any) -> bool:
    def before(x: Any) -> tuple[Any, ...]:
        dims, at = engine.shape_of(x), place(engine, x)
        return dims if at is None else dims[:at]

    return before(given["x"]) == before(result) or place(engine, given["x"]) is None


def _take(engine: SampleEngine, given: Arguments, result: Any) -> bool:
    return _without("x")(engine, given, result) or (
        _along("axis")(engine, given, result) and _without("indices")(engine, given, result)
    )


def _matmul(engine: SampleEngine, given: Arguments, result: Any) -> bool:
    left, right = place(engine, given["x1"]), place(engine, given["x2"])
    rank = len(engine.shape_of(given["x2"]))
    if left == -1 or right == (-2 if rank > 1 else -1):  # they would be summed
        return False
    return left is None or right is None or (left == right and left < -2)


def _einsum(engine: SampleEngine, given: Arguments, result: Any) -> bool:
    terms, _, kept = given["subscripts"].replace(" ", "").partition("->")
    letters = set()
    for term, x in zip(terms.split(","), given["operands"], strict=True):
        at = place(engine, x)
        if at is not None:
            head, _, tail = term.partition("...")
            rank = len(engine.shape_of(x))
            within = head[at + rank :] or tail[at:] if "..." in term else term[at:]
            letters.add(within[:1] if at + rank < len(head) or -at <= len(tail) else "...")
    return len(letters) < 2 and all(letter in kept and letter != "..." for letter in letters)


def _first(engine: SampleEngine, given: Arguments, result: Any) -> bool:
    """What takes images, or what is alike, by the first axis."""
    rank = len(engine.shape_of(given["x"]))
    others = [given[name] for name in ("kernel",) if name in given]
    return place(engine, given["x"]) in (None, -rank) and not any(place(engine, x) for x in others)


def _steps(engine: SampleEngine, given: Arguments, result: Any) -> bool:
    """A loop takes the first axis apart."""
    leading = [engine.shape_of(x)[:1] for x in flatten(given["xs"])[0]]
    return not any(isinstance(size, Dimension) for size in (*sum(leading, ()), given["length"]))


def _always(engine: SampleEngine, given: Arguments, result: Any) -> bool:
    return True


#: The primitives that may keep samples apart, and their rules.
RULES: dict[str, Rule] = {
    name: rule
    for names, rule in (
        (
            "negative sign ceil floor round trunc sqrt rsqrt exp expm1 log log1p log2 log10",
            _aligned,
        ),
        (
            "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh sigmoid",
            _aligned,
        ),
        ("erf erfc erfinv i0 lgamma conj bitwise_not stop_gradient abs real imag", _aligned),
        ("isnan isinf isfinite logical_not cast convert_to_tensor where complex", _aligned),
        ("add subtract multiply divide floor_divide mod fmod power maximum minimum", _aligned),
        ("arctan2 nextafter bitwise_and bitwise_or bitwise_xor left_shift right_shift", _aligned),
        ("equal not_equal less less_equal greater greater_equal logical_and", _aligned),
        ("logical_or logical_xor broadcast_to slice_update full", _aligned),
        ("sum prod max min mean var all any argmax argmin transpose slice get_item pad", _always),
        ("cond while_loop", _always),
        ("cumsum cumprod sort argsort concatenate", _along("axis")),
        ("take_along_axis", lambda *a: _along("axis")(*a) and _aligned(*a)),
        ("flip", _along("axes")),
        ("fft ifft rfft irfft top_k", _not_last(1, "x")),
        ("cholesky qr svd eigh eig lu_factor", _not_last(2, "x")),
        ("solve solve_triangular", _not_last(2, "a", "b")),
        ("gather", _without("x")),
        ("searchsorted", _without("sequence")),
        ("conv conv_transpose max_pool average_pool patches", _first),
        ("reshape", _reshape),
        ("take", _take),
        ("matmul", _matmul),
        ("einsum", _einsum),
        ("scan", _steps),
    )
    for name in names.split()
}
#: What gives shapes, or runs a function on this engine.
_NO_PRIMITIVES = frozenset(
    "convert_to_numpy is_tensor dtype_of shape_of weak_type stand_in compile custom_gradient".split()
)
_LOOPS = frozenset({"cond", "while_loop", "scan"})


class SampleEngine(SpecEngine):
    """The engine of shapes, which raises where samples are mixed."""


def _checked(name: str, member: Callable[..., Any]) -> Callable[..., Any]:
    signature, rule = inspect.signature(getattr(Engine, name)), RULES.get(name)

    @functools.wraps(member)
    def primitive(self: SampleEngine, *args: Any, **kwargs: Any) -> Any:
        result = member(self, *args, **kwargs)
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        arguments = {key: x for key, x in given.arguments.items() if key != "self"}
        operands = [x for x in flatten(arguments)[0] if self.is_tensor(x)]
        results = [x for x in flatten(result)[0] if self.is_tensor(x)]
        has = [place(self, x) is not None for x in operands]
        lost = name not in _LOOPS and any(has) and not all(place(self, x) for x in results)
        sizes = any(x == SAMPLES for key, x in arguments.items() if key not in ("shape", "length"))
        makes = not any(has) and any(place(self, x) is not None for x in results)
        if lost or sizes or (any(has) or makes) and not (rule and rule(self, arguments, result)):
            raise Mixed(name)
        return result

    return primitive


def keeps_apart(f: Callable[..., Any], *specs: Any) -> Any:
    """What `f` gives for specs, if it is one for each sample along the first axis, kept apart; else None."""
    from . import use

    engine = SampleEngine()  # type: ignore[abstract]  # its primitives are put in below
    try:
        with use(engine):
            result = f(*specs)
        shapes = [engine.shape_of(x) for x in flatten(result)[0]]
        places = [place(engine, x) for x in flatten(result)[0]]
    except Mixed:
        return None
    except Exception as error:  # whatever can't be told counts as mixing
        tuning.say(
            "Whether samples are kept apart can't be told, so batches stay as they are: %r.", error
        )
        return None
    first = [at == -len(shape) for at, shape in zip(places, shapes, strict=True)]
    return result if first and all(first) and all(s[0] == SAMPLES for s in shapes) else None


for _name, _member in vars(SpecEngine).items():
    if inspect.isfunction(_member) and hasattr(Engine, _name) and _name not in _NO_PRIMITIVES:
        setattr(SampleEngine, _name, _checked(_name, _member))
