"""A recorded step over whole tensors made into one over the parts that a process has.

The step is recorded as on one process, without values. Its calls are then made again on PyTorch's DTensors, which
know how each call is divided, and what they call is recorded: kernels on parts, and collectives. So layers, rules of
optimizers and gradients know nothing of a mesh, and a recording has no DTensor in it.

What all processes have is no DTensor: its calls are made as they were. What DTensor can't divide, or divides badly,
is in tables below.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import optree
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx
from torch.fx.node import map_aggregate, map_arg

from ... import tuning
from ..loops import flatten
from .graph import RecordedStep, forget_source, root, writes
from .mesh import Division, division_of, recording, worst
from .opaque import samples_of

aten = torch.ops.aten

# ---------------------------------------------------------------------- tables

#: Why a call is made on whole tensors, by all processes alike.
WHOLE = {
    "writes": "it writes into memory that others see through views",
    "unknown": "PyTorch has no rule that divides it",
}
#: Of a call that is made on parts as it is made on the whole: along which axis operands and results are divided.
#: None is for one that each has all of, "sum" for a result that is the sum of what the processes have.
_ALONG: dict[Any, list[tuple[Sequence[Any], Sequence[Any]]]] = {
    # By DTensor it is said to be contiguous, which it isn't.
    aten.convolution.default: [((0, None, None), (0,)), ((None, 0, 0), (1,))],
    aten.convolution_backward.default: [
        ((0, 0, None), (0, "sum", "sum")),
        ((1, None, 0), ("sum", 0, 0)),
    ],
    # DTensor takes minutes to find a rule for each.
    aten._scaled_dot_product_flash_attention_for_cpu.default: [
        ((axis,) * 3, (axis, axis)) for axis in (0, 1)
    ],
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default: [
        ((axis,) * 6, (axis, axis, axis)) for axis in (0, 1)
    ],
}
#: Calls that change neither which elements there are nor their order, or only in a way that DTensor follows: a weight
#: is read through them where it lies, and sent after.
_READS = frozenset(
    {
        aten.t.default,
        aten.permute.default,
        aten.transpose.int,
        aten._to_copy.default,
        aten.detach.default,
        aten.alias.default,
    }
)
_VIEWS = frozenset({aten.view.default, aten._unsafe_view.default})
#: Calls that may be made of sums over processes, whose result is one.
_LINEAR = frozenset({aten.add.Tensor, aten.sub.Tensor})
#: Calls whose sums over processes are made at once, so that several are on their way together.
_SENT_AT_ONCE = frozenset({aten.sum.default, aten.sum.dim_IntList})
#: How many calls may lie between two that read a weight, for it to be sent once for both.
_NEAR = 12


def _mean(x: torch.Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """`mean`, also of parts of different sizes."""
    axes = [*range(x.ndim)] if not dim else list(dim)
    return torch.sum(x, axes, keepdim, dtype=dtype) / math.prod(x.shape[axis] for axis in axes)


def _var(x: torch.Tensor, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> Any:
    """`var`, for which DTensor would send the elements."""
    axes = [*range(x.ndim)] if not dim else list(dim)
    count = math.prod(x.shape[axis] for axis in axes)
    apart = x - _mean(x, axes, True)
    return torch.sum(apart * apart, axes, keepdim) / max(
        0, count - (1 if correction is None else correction)
    )


def _batch_norm(
    x: torch.Tensor,
    scale: Any,
    offset: Any,
    _mean_: Any,
    _var_: Any,
    _train: bool,
    _part: float,
    epsilon: float,
) -> Any:
    """`native_batch_norm` in training: by the samples of all."""
    axes, sizes = _but_channels(x)
    mean = _mean(x, axes, True)
    apart = x - mean
    inverse = (_mean(apart * apart, axes, True) + epsilon).rsqrt()
    y = apart * inverse
    y = y if scale is None else y * scale.reshape(sizes)
    return y if offset is None else y + offset.reshape(sizes), mean.reshape(-1), inverse.reshape(-1)


def _batch_norm_backward(
    g: torch.Tensor,
    x: torch.Tensor,
    scale: Any,
    _mean_: Any,
    _var_: Any,
    mean: Any,
    inverse: Any,
    *_: Any,
) -> Any:
    """Its gradients."""
    axes, sizes = _but_channels(x)
    inverse = inverse.reshape(sizes)
    normed = (x - mean.reshape(sizes)) * inverse
    offsets, scales = g.sum(axes, True), (g * normed).sum(axes, True)
    count = x.numel() // x.shape[1]
    factor = inverse if scale is None else inverse * scale.reshape(sizes)
    found = (g - offsets / count - normed * (scales / count)) * factor
    return found, scales.reshape(-1), offsets.reshape(-1)


def _but_channels(x: torch.Tensor) -> tuple[list[int], list[int]]:
    """The axes that are normalized over, and the shape of what is of the channels."""
    return [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)


#: Calls that are recorded as others are, whose parts are small: sums of samples.
MADE_OF: dict[Any, Callable[..., Any]] = {
    aten.mean.default: _mean,
    aten.mean.dim: _mean,
    aten.var.correction: _var,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_batch_norm_backward.default: _batch_norm_backward,
}

# ----------------------------------------------------------------------- marks
# What a step says of layouts is a call of the recording over whole tensors, which the one over parts obeys.

_ways: list[tuple[Any, ...]] = []
#: By mesh: the axes along which samples lie. A batch that they don't divide says nothing of them.
_samples: dict[Any, set[int]] = {}


def _laid(x: torch.Tensor, there: int, back: int) -> torch.Tensor:
    return x.clone()


def _keep_way(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.way = inputs[2], inputs[1]


#: A tensor that lies `there`, and its gradient `back`: numbers of placements.
_mark: Any = torch.library.custom_op("cornu::laid", _laid, mutates_args=())
_mark.register_fake(lambda x, there, back: torch.empty_like(x))
_mark.register_autograd(lambda ctx, g: (_mark(g, *ctx.way), None, None), setup_context=_keep_way)


def _way(placements: Sequence[Any]) -> int:
    key = tuple(placements)
    if key not in _ways:
        _ways.append(key)
    return _ways.index(key)


def _sent(placements: Sequence[Any], samples: set[int]) -> tuple[Any, ...]:
    """How a weight lies where it is computed with: divided along axes of the mesh that divide no samples."""
    return tuple(Replicate() if i in samples else p for i, p in enumerate(placements))


class Marks:
    """What is said of layouts while a step is recorded for a mesh.

    Args:
        samples: The axes of the mesh along which samples lie.
    """

    def __init__(self, samples: set[int]) -> None:
        self.samples = samples
        #: By what stands for a variable: how that is divided.
        self.known: dict[int, Division] = {}

    def constrain(self, x: torch.Tensor, division: Division) -> torch.Tensor:
        """The same tensor, divided so, and its gradient too."""
        way = _way(division.placements)
        marked: torch.Tensor = _mark(x, way, way)
        return marked

    def leaf(self, value: Any, x: Any) -> Any:
        """What to differentiate by: a weight is sent where it is computed with, so that no samples are, and its
        gradient is summed once, and divided as it is."""
        division = self.known.get(id(value))
        if division is None or not x.requires_grad:
            return x
        sent = _way(_sent(division.placements, self.samples))
        return _mark(x, sent, _way(division.placements))


# ------------------------------------------------------------------ the calls


def partitioned(
    module: Any,
    mesh: Any,
    inputs: Sequence[torch.Tensor],
    given: Sequence[Division | None],
    wanted: Sequence[Division | None],
    samples: set[int],
    weights: int,
    noted: dict[str, str] | None = None,
) -> Any:
    """A recording over the parts that `inputs` are, from one over whole tensors.

    Args:
        module: The recording.
        mesh: The mesh.
        inputs: What this process has.
        given, wanted: How arguments and results are divided; None for what all have.
        samples: The axes of the mesh along which samples lie.
        weights: How many of the arguments are variables.
        noted: Takes the calls that are made on whole tensors, each with the reason.
    """
    calls = _Calls(module, mesh, given, wanted, samples, weights, {} if noted is None else noted)
    with torch.no_grad():
        made = make_fx(calls.run, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    made.graph.eliminate_dead_code()
    _tidy(made.graph)
    _Sums(made.graph).join()
    made.graph.eliminate_dead_code()
    return made


class _Weight:
    """A weight that is sent to all where it is read."""

    def __init__(self, held: Any, samples: set[int]) -> None:
        self.held, self.samples = held, samples
        self.sent: Any = None
        self.last = -_NEAR - 1

    def read(self, at: int) -> Any:
        """What the call of a number computes with: sent anew where the last time is long ago, so that it takes no
        memory meanwhile."""
        if at - self.last > _NEAR:
            placements = _sent(self.held.placements, self.samples)
            self.sent = _settled(self.held.redistribute(placements=placements))
        self.last = at
        return self.sent

    def through(self, node: Node) -> _Weight:
        """The weight as a call of `_READS` gives it."""
        target: Any = node.target
        return _Weight(target(self.held, *node.args[1:], **node.kwargs), self.samples)


class _Calls:
    """The calls of a recording, made on tensors that are divided."""

    def __init__(
        self,
        module: Any,
        mesh: Any,
        given: Sequence[Division | None],
        wanted: Sequence[Division | None],
        samples: set[int],
        weights: int,
        noted: dict[str, str],
    ) -> None:
        self.module, self.mesh, self.samples, self.weights = module, mesh, samples, weights
        self.given, self.wanted, self.noted = given, wanted, noted
        self.replicated = (Replicate(),) * mesh.ndim
        nodes = list(module.graph.nodes)
        #: By what rules a call of an opaque function was made.
        self.called: dict[Node, Any] = {}
        #: Those whose memory a call writes into.
        self.written = {root(node.args[0]) for node in nodes if writes(node)}
        self.is_marked = any(node.target is torch.ops.cornu.laid.default for node in nodes)

    def run(self, *inputs: torch.Tensor) -> list[Any]:
        """Make them; gives the results."""
        values: dict[Node, Any] = {}
        given = zip(inputs, self.given, strict=True)
        for at, node in enumerate(self.module.graph.nodes):

            def value(x: Node, at: int = at) -> Any:
                found = values[x]
                return found.read(at) if isinstance(found, _Weight) else found

            if node.op == "placeholder":
                values[node] = self._argument(at, node, *next(given))
            elif node.op == "get_attr":
                values[node] = getattr(self.module, str(node.target))
            elif node.op == "output":
                return [
                    self._result(value(x), w)
                    for x, w in zip(node.args[0], self.wanted, strict=True)
                ]
            else:
                values[node] = self._called(node, values, value)
        raise AssertionError("a recording ends with its results")

    def _argument(self, at: int, node: Node, x: torch.Tensor, division: Division | None) -> Any:
        if division is None or division.is_whole:
            return x
        like = node.meta["val"]
        made = DTensor.from_local(
            x, *division, run_check=False, shape=like.shape, stride=like.stride()
        )
        # Where nothing is differentiated, weights are not marked.
        sent = _sent(division.placements, self.samples)
        if at < self.weights and not self.is_marked and sent != division.placements:
            return _Weight(made, self.samples)
        return made

    def _result(self, x: Any, wanted: Division | None) -> Any:
        if x is None or (wanted is None and not isinstance(x, DTensor)):
            return x
        placements = self.replicated if wanted is None else wanted.placements
        return self._divided(x).redistribute(placements=placements).to_local()

    def _called(self, node: Node, values: dict[Node, Any], value: Callable[[Node], Any]) -> Any:
        target: Any = node.target
        if target is torch.ops.cornu.laid.default:
            return self._marked(*map_arg(node.args, values.get))
        first = values.get(node.args[0]) if node.args and isinstance(node.args[0], Node) else None
        if isinstance(first, _Weight) and target in _READS:
            return first.through(node)
        operands = [value(x) for x in node.all_input_nodes]
        if torch.Tag.pointwise in getattr(target, "tags", ()) and not _kept_sum(target, operands):
            for x in filter(lambda x: _is_sum(values[x]), node.all_input_nodes):
                values[x] = self._summed(values[x])  # for those too who ask for it later
        args, kwargs = map_arg((node.args, node.kwargs), value)
        if node in self.written or writes(node):
            if any(map(_is_divided, operands)):
                self._note(node, "writes")
            return self._whole(target(*self._whole(args), **self._whole(kwargs)))
        if target is operator.getitem or not any(map(_is_divided, operands)):
            return target(*args, **kwargs)
        made = _settled(self._divided_call(node, args, kwargs))
        is_gradient = any(x.target is torch.ops.cornu.laid.default for x in node.users)
        at_once = target in _SENT_AT_ONCE and _is_sum(made) and not is_gradient
        return self._summed(made) if at_once else made

    def _summed(self, x: Any) -> Any:
        """A tensor that lies otherwise as it does, its sum over processes made."""
        way = [Replicate() if p.is_partial() else p for p in x.placements]
        return _settled(x.redistribute(placements=way))

    def _divided_call(self, node: Node, args: Any, kwargs: Any) -> Any:
        target: Any = node.target
        chosen = self._chosen(node, args)
        if chosen is not None:
            return self._along(node, chosen, args, kwargs)
        if getattr(target, "_opname", "").startswith("_foreach_"):
            return self._each(target, args, kwargs)
        if torch.Tag.pointwise in target.tags:
            return self._pointwise(node, args, kwargs)
        try:
            if target in _VIEWS:
                return self._viewed(target, *args)
            known = map_aggregate(
                (args, kwargs), lambda x: self._divided(x) if isinstance(x, torch.Tensor) else x
            )
            return target(*known[0], **known[1])
        except Exception as error:
            if not _is_unknown(error):
                raise
            self._note(node, "unknown")
            return target(*self._whole(args), **self._whole(kwargs))

    def _viewed(self, target: Any, x: Any, shape: Any) -> Any:
        """A view, or a copy where parts lie in memory otherwise than the whole did."""
        try:
            return target(x, shape)
        except Exception as error:
            if "Cannot view" not in str(error):
                raise
        local = x.to_local().clone(memory_format=torch.contiguous_format)
        return target(self._joined(local, x.placements, x.shape), shape)

    def _note(self, node: Node, why: str) -> None:
        self.noted[str(node.target)] = WHOLE[why]

    # --- rules

    def _pointwise(self, node: Node, args: Any, kwargs: Any) -> Any:
        """A call that is made element by element; a sum over processes is made before it, where it must."""
        like = node.meta["val"]
        operands = _tensors((args, kwargs))
        way = _kept_sum(node.target, operands)
        if way is None:
            way = list(self.replicated)
            for x in operands:
                for i, p in enumerate(x.placements if isinstance(x, DTensor) else ()):
                    axis = p.dim + like.ndim - x.ndim if p.is_shard() else None
                    if (
                        axis is not None
                        and way[i].is_replicate()
                        and x.shape[p.dim] == like.shape[axis]
                    ):
                        way[i] = Shard(axis)

        def local(x: Any) -> Any:
            return self._local(x, _aligned(way, x, like.ndim)) if isinstance(x, torch.Tensor) else x

        args, kwargs = map_aggregate((args, kwargs), local)
        target: Any = node.target
        return self._made(target(*args, **kwargs), way, like)

    def _each(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A call on lists, made element by element of each tensor."""
        lists = [
            x
            for x in args
            if isinstance(x, (list, tuple)) and any(isinstance(y, torch.Tensor) for y in x)
        ]
        ways = []
        for row in zip(*lists, strict=True):
            found = (
                x.placements
                for x in row
                if isinstance(x, DTensor) and any(p.is_shard() for p in x.placements)
            )
            way = next(found, self.replicated)
            ways.append([Replicate() if p.is_partial() else p for p in way])

        def local(x: Any) -> Any:
            if any(x is y for y in lists):
                return [self._local(y, way) for y, way in zip(x, ways, strict=True)]
            return self._local(x, self.replicated) if isinstance(x, torch.Tensor) else x

        shapes = [x.shape for x in lists[0]]
        found = target(*map(local, args), **{key: local(x) for key, x in kwargs.items()})
        return [
            x if all(p.is_replicate() for p in way) else self._joined(x, way, shape)
            for x, way, shape in zip(found, ways, shapes, strict=True)
        ]

    def _along(self, node: Node, chosen: Any, args: Any, kwargs: Any) -> Any:
        """A call that is made on parts along an axis as on the whole, by a rule for each axis of the mesh."""
        flat = _tensors(args)
        ways = iter(
            [
                tuple(
                    _placement(rule[0][j] if rule and j < len(rule[0]) else None, x, flat)
                    for rule in chosen
                )
                for j, x in enumerate(flat)
            ]
        )

        def local(x: Any) -> Any:
            if isinstance(x, torch.Tensor):
                return self._local(x, next(ways))
            return [*map(local, x)] if isinstance(x, (list, tuple)) else x

        def beside(x: Any) -> Any:
            if not isinstance(x, torch.Tensor):
                return x
            # Such as a mask, of which an axis may be of one entry for all.
            axes = [rule[0][0] if rule else None for rule in chosen]
            return self._local(x, tuple(_placement(a, x, flat, flat[0].ndim) for a in axes))

        found = node.target(*map(local, args), **{key: beside(x) for key, x in kwargs.items()})
        results = found if isinstance(found, (list, tuple)) else [found]
        likes = node.meta["val"] if isinstance(found, (list, tuple)) else [node.meta["val"]]
        made = []
        for j, (x, like) in enumerate(zip(results, likes, strict=True)):
            kinds = [rule[1][j] if rule and j < len(rule[1]) else None for rule in chosen]
            way = [
                Replicate() if kind is None else Partial() if kind == "sum" else Shard(kind)
                for kind in kinds
            ]
            held = x is None or like.numel() == 0
            made.append(x if held else self._made(x, way, like))
        return type(found)(made) if isinstance(found, (list, tuple)) else made[0]

    def _chosen(self, node: Node, args: Any) -> Any:
        """For each axis of the mesh the rule by which a call is made, None for the whole; None where none is known."""
        if (
            node.target is torch.ops.cornu.call_backward.default
        ):  # which goes on with what the call has kept
            made: Any = node.args[0]
            while made not in self.called:
                made = made.args[0]
            count = len(args[2])
            return [
                rule and ((None, *[0] * len(args[1]), *rule[0]), _of_gradients(rule[0], count))
                for rule in self.called[made]
            ]
        operands = _tensors(args)
        rules = _ALONG.get(node.target)
        if node.target is torch.ops.cornu.call.default:
            samples = samples_of(args[0])
            rules = [((0,) * samples, (0,) * len(node.meta["val"]))] if samples else None
            if rules is None:
                self.called[node] = [None] * self.mesh.ndim
        if rules is None:
            return None
        chosen = [_rule(rules, operands, i) for i in range(self.mesh.ndim)]
        self.called[node] = chosen
        return chosen

    # --- tensors

    def _marked(self, x: Any, there: int, back: int) -> Any:
        divided = self._divided(x)
        placements = _ways[there]
        is_leaf = divided.placements == _ways[back] and placements == _sent(
            _ways[back], self.samples
        )
        if is_leaf and placements != _ways[back]:
            return _Weight(divided, self.samples)
        return _settled(divided.redistribute(placements=placements))

    def _divided(self, x: Any) -> Any:
        if isinstance(x, _Weight):
            return x.held
        if isinstance(x, DTensor):
            return x
        return DTensor.from_local(x, self.mesh, self.replicated, run_check=False)

    def _local(self, x: torch.Tensor, placements: Sequence[Any]) -> torch.Tensor:
        if not isinstance(x, DTensor) and all(p.is_replicate() for p in placements):
            return x
        made: torch.Tensor = self._divided(x).redistribute(placements=tuple(placements)).to_local()
        return made

    def _made(self, x: torch.Tensor, placements: Sequence[Any], like: Any) -> Any:
        return self._joined(x, placements, like.shape, like.stride())

    def _joined(
        self, x: torch.Tensor, placements: Sequence[Any], shape: Any, stride: Any = None
    ) -> Any:
        stride = torch.empty(shape, device="meta").stride() if stride is None else stride
        return DTensor.from_local(
            x, self.mesh, tuple(placements), run_check=False, shape=torch.Size(shape), stride=stride
        )

    def _whole(self, x: Any) -> Any:
        """Tensors of which all have all, in place of divided ones, in trees too."""
        if isinstance(x, (list, tuple)):
            return type(x)([self._whole(y) for y in x])
        if isinstance(x, dict):
            return {key: self._whole(y) for key, y in x.items()}
        return self._local(x, self.replicated) if isinstance(x, DTensor) else x


def _settled(x: Any) -> Any:
    """What all have as a plain tensor."""
    if isinstance(x, (list, tuple)):
        return type(x)([_settled(y) for y in x])
    is_whole = isinstance(x, DTensor) and all(p.is_replicate() for p in x.placements)
    return x.to_local() if is_whole else x


def _tensors(tree: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_aggregate(tree, lambda x: found.append(x) if isinstance(x, torch.Tensor) else None)
    return found


def _is_sum(x: Any) -> bool:
    """Whether what processes have is still to be summed."""
    return isinstance(x, DTensor) and any(p.is_partial() for p in x.placements)


def _is_divided(x: Any) -> bool:
    return (
        any(isinstance(y, DTensor) for y in x)
        if isinstance(x, (list, tuple))
        else isinstance(x, DTensor)
    )


def _is_unknown(error: BaseException | None) -> bool:
    """Whether an error says that DTensor has no rule, or can't follow its own one."""
    text = "sharding strategy", "Sharding propagation failed", "not supported"
    return isinstance(error, (NotImplementedError, RuntimeError)) and any(
        x in str(error) for x in text
    )


def _rule(rules: Any, operands: Sequence[Any], i: int) -> Any:
    """The rule that serves along an axis of the mesh, by what is divided there; None for the whole."""
    for axes, results in rules:
        for axis, x in zip(axes, operands, strict=False):
            if axis is not None and isinstance(x, DTensor) and x.placements[i] == Shard(axis):
                return axes, results
    return None


def _of_gradients(axes: Sequence[Any], count: int) -> list[Any]:
    """How the gradients of operands lie: of one that all have, each has its own samples' share."""
    return [axis if axis is not None else "sum" for axis in (*axes, *[None] * (count - len(axes)))]


def _placement(axis: Any, x: torch.Tensor, operands: Any, ndim: int | None = None) -> Any:
    """How an operand lies along an axis of the mesh, of which an axis of its own is divided there."""
    if axis is None:
        return Replicate()
    if ndim is not None:
        axis = axis - ndim + x.ndim
    if axis < 0 or (ndim is not None and x.shape[axis] == 1):
        return Replicate()
    return Shard(axis)


def _kept_sum(target: Any, operands: Sequence[Any]) -> list[Any] | None:
    """How a result lies that is a sum over processes like its operands, because the call is linear; else None."""
    ways = [x.placements if isinstance(x, DTensor) else None for x in operands]
    alike = all(way == ways[0] for way in ways) and len({x.shape for x in operands}) == 1
    if target not in _LINEAR or len(operands) < 2 or not alike or not _is_sum(operands[0]):
        return None
    return list(operands[0].placements)


def _aligned(placements: Sequence[Any], x: torch.Tensor, ndim: int) -> list[Any]:
    """How an operand lies for a result, along whose axes it is broadcast, to lie so."""
    found: list[Any] = []
    for p in placements:
        if p.is_partial() and x.ndim:
            found.append(p)
            continue
        axis = p.dim - ndim + x.ndim if p.is_shard() else -1
        found.append(Shard(axis) if axis >= 0 and x.shape[axis] > 1 else Replicate())
    return found


# ------------------------------------------------------------------- the graph

_SUM = torch.ops._c10d_functional.all_reduce.default
_SUMS = torch.ops._c10d_functional.all_reduce_coalesced.default
_WAIT = torch.ops._c10d_functional.wait_tensor.default
#: Bytes that are summed over processes in one call, as soon as they are there.
_JOINED = 8 * 2**20


def _tidy(graph: Graph) -> None:
    """Take out views that show what they are of, sums over processes that nobody asks for, and those made before."""
    for node in graph.nodes:
        if node.target is aten.view.default and _form(node) == _form(node.args[0]):
            node.replace_all_uses_with(node.args[0])
    for node in reversed(list(graph.nodes)):
        # PyTorch takes waiting for an effect.
        known = getattr(node.target, "namespace", "") in ("aten", "_c10d_functional")
        if known and not node.users and (not writes(node) or node.target is aten.detach_.default):
            graph.erase_node(node)
    made: dict[Any, Node] = {}
    for node in graph.nodes:
        if node.target in (_SUM, _WAIT):
            first = made.setdefault((node.target, node.args), node)
            if first is not node:
                node.replace_all_uses_with(first)


def _form(node: Node) -> tuple[Any, ...]:
    x = node.meta["val"]
    return x.shape, x.stride()


class _Sums:
    """Sums over processes, of which several are made by one call, and waited for where one is asked for."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        #: Sums and what waits for them: those of the next call, and all that nobody has asked for.
        self.next: list[tuple[Node, Node]] = []
        self.sent: list[tuple[Node, Node]] = []
        #: What hangs on them: waits, and views of what they give.
        self.hanging: dict[Node, None] = {}

    def join(self) -> None:
        """Go through the graph."""
        for node in list(self.graph.nodes):
            if any(x in self.hanging for x in node.all_input_nodes) or node.op == "output":
                if node.op != "output" and _is_view(node):
                    self.hanging[node] = None
                    continue
                self._settle(node)
            elif node.target is _SUM and [x.target for x in node.users] == [_WAIT]:
                self._add(node, next(iter(node.users)))

    def _add(self, node: Node, wait: Node) -> None:
        if self.next and _kind(self.next[0][0]) != _kind(node):
            self._send()
        self.next.append((node, wait))
        self.hanging[wait] = None
        if sum(x.meta["val"].nbytes for x, _ in self.next) > _JOINED:
            self._send()

    def _send(self) -> None:
        """Make one call of those that are there, where the last of them is made."""
        if len(self.next) > 1:
            last = self.next[-1][0]
            with self.graph.inserting_after(last):
                operands = [node.args[0] for node, _ in self.next]
                joined = self.graph.call_function(_SUMS, (operands, *last.args[1:]))
            joined.meta["val"] = [node.meta["val"] for node, _ in self.next]
            for i, (node, wait) in enumerate(self.next):
                with self.graph.inserting_before(wait):
                    part = self.graph.call_function(operator.getitem, (joined, i))
                part.meta["val"] = node.meta["val"]
                node.replace_all_uses_with(part)
                self.graph.erase_node(node)
                self.next[i] = part, wait
        self.sent += self.next
        self.next = []

    def _settle(self, node: Node) -> None:
        """Wait for all, before a call that asks for one."""
        self._send()
        for part, _ in self.sent:
            if part.target is operator.getitem:
                node.prepend(part)
        for hanging in self.hanging:
            node.prepend(hanging)
        self.sent, self.hanging = [], {}


def _is_view(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(x.alias_info for x in schema.returns)


def _kind(node: Node) -> tuple[Any, ...]:
    return (*node.args[1:], node.meta["val"].dtype)


# -------------------------------------------------------------------- the step


class _Divided(RecordedStep):
    """A step over variables that are divided, for arguments that are divided in one way."""

    def __init__(
        self, engine: Any, step: Callable[..., Any], state: Any, ways: Sequence[Division | None]
    ) -> None:
        super().__init__(engine, step, state)
        self.ways = ways

    def _divisions(self) -> list[Division | None]:
        """How variables lie, then arguments."""
        changing, constant = self.state.layouts()
        return [*map(division_of, [*changing, *constant]), *self.ways]

    def _trace(
        self,
        flat: Callable[..., Any],
        inputs: Sequence[torch.Tensor],
        made: list[Any],
        _: Any = None,
    ) -> Any:
        divisions = self._divisions()
        mesh = next((division.mesh for division in divisions if division is not None), None)
        if mesh is None:
            return super()._trace(flat, inputs, made)
        graph, error = None, None
        try:
            graph = self._partitioned(flat, inputs, made, divisions, mesh)
        except Exception as raised:
            error = raised
        failed = worst(0 if error is None else 1)
        if error is not None:
            raise error
        if failed:
            raise _AnotherFailed(
                "A step must be recorded by all processes or by none. Received: an error in another process, which "
                "its own output shows."
            )
        return graph

    def _partitioned(
        self,
        flat: Callable[..., Any],
        inputs: Sequence[torch.Tensor],
        made: list[Any],
        divisions: list[Division | None],
        mesh: Any,
    ) -> Any:
        weights = len(divisions) - len(self.ways)
        samples = _samples.setdefault(mesh, set())
        samples |= {
            i for way in self.ways if way for i, p in enumerate(way.placements) if p.is_shard(0)
        }
        marks = Marks(samples)

        def marked(*values: torch.Tensor) -> list[torch.Tensor]:
            pairs = zip(values[:weights], divisions, strict=False)
            marks.known = {id(x): division for x, division in pairs if division is not None}
            found: list[torch.Tensor] = flat(*values)
            return found

        with FakeTensorMode(allow_non_fake_inputs=True):
            wholes = [
                torch.empty(
                    x.shape if d is None else d.shape(x.shape), dtype=x.dtype, device=x.device
                )
                for x, d in zip(inputs, divisions, strict=True)
            ]
        recording.append(marks)
        try:
            whole = super()._trace(marked, wholes, made, MADE_OF)
        finally:
            recording.pop()
        wanted = [None] * made[2] + [divisions[i] for i in made[1]]
        noted: dict[str, str] = {}
        graph = partitioned(whole, mesh, inputs, divisions, wanted, samples, weights, noted)
        forget_source(whole)
        for name, why in noted.items():
            tuning.say("%s is computed whole by each process: %s.", name, why)
        return graph

    def _run(self, changing: list[Any], constant: list[Any], args: Any) -> Any:
        """The step as it is, on whole tensors: each process does all of it."""
        if any(way is not None for way in self.ways) and not self._is_said:
            self._is_said = True
            tuning.say("A step runs unrecorded: each process computes all of it.", level="warning")
        leaves, structure = flatten(args)
        pairs = zip(leaves, self.ways, strict=True)
        whole = [x if way is None else way.whole(x) for x, way in pairs]
        return super()._run(changing, constant, optree.tree_unflatten(structure, whole))

    _is_said = False


class _AnotherFailed(RuntimeError):
    #: It is no reason to run the step as it is, which the others don't.
    stops_steps = True


class DividedStep:
    """A step whose variables and arguments lie on several processes: one for each way that its arguments do."""

    def __init__(self, engine: Any, step: Callable[..., Any], state: Any) -> None:
        self.engine, self.step, self.state = engine, step, state
        self.steps: dict[Any, _Divided] = {}

    def __call__(self, *args: Any) -> Any:
        if get_proxy_mode() is not None:
            return self.step(*args)
        leaves, structure = flatten(args)
        ways = tuple(
            Division(x.device_mesh, x.placements) if isinstance(x, DTensor) else None
            for x in leaves
        )
        step = self.steps.get(ways)
        if step is None:
            step = self.steps[ways] = _Divided(self.engine, self.step, self.state, ways)
        with torch.no_grad():
            local = [x.to_local() if isinstance(x, DTensor) else x for x in leaves]
        return step(*optree.tree_unflatten(structure, local))
