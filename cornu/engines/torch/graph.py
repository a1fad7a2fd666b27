"""A compiled step on PyTorch: its kernels recorded once, and called again without what led to them.

`make_fx` writes down the calls that a step makes below autograd: forward, backward and update in one
list. Replaying it passes no layer, no op, no optimizer of Python and no autograd. What is recorded
are stand-ins without values, so a step that looks at values (a branch on a tensor, a generator that
is seeded from a key) can't be recorded, nor can one that calls `backward`: it runs as it is.
"""

from __future__ import annotations

import linecache
import operator
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import optree
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
)
from torch.fx import Graph, Node, graph_module
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.fx.node import map_arg

from ... import tuning
from .. import programs
from ..contract import State
from ..loops import flatten
from .mesh import part_for
from .opaque import DIRECT, WRITERS, call_over

#: Calls, on lists and on tensors, that can write over their first operand; those whose operands can change
#: places.
_IN_PLACE = {
    f"_foreach_{name}": getattr(torch, f"_foreach_{name}_")
    for name in "add sub mul div sqrt exp maximum minimum neg lerp addcdiv".split()
}
_IN_PLACE |= {name: getattr(torch.Tensor, f"{name}_") for name in "add sub mul div relu".split()}
_COMMUTING = ("_foreach_add", "_foreach_mul", "add", "mul")
_VIEWS = frozenset("view _unsafe_view t permute transpose squeeze unsqueeze".split())
#: Errors of a step that looks at values: it is not one for recording.
_LOOKS = (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)
#: PyTorch traces in one thread at a time, by what it puts in the place of its own functions.
_tracing = threading.Lock()
_SAME = (torch.ops.aten.detach.default, torch.ops.aten.alias.default)


class RecordedStep:
    """A step over variables, recorded once for each structure, shape and dtype of its arguments."""

    def __init__(self, engine: Any, step: Callable[..., Any], state: State) -> None:
        self.engine = engine
        self.step = step
        self.state = state
        #: By the kind of arguments: the recording, or None where there can be none.
        self.recorded: dict[Any, _Recording | None] = {}
        #: Why the step is not recorded, until that is said; and whether the fault is this module's.
        self._refused: Exception | None = None
        self._faulty = False
        self._kinds: list[programs.Kind] = []

    def __call__(self, *args: Any) -> Any:
        if get_proxy_mode() is not None:
            return self.step(*args)
        leaves, structure = flatten(args)
        for i, leaf in enumerate(leaves):
            if leaf.__class__ is not torch.Tensor:
                leaves[i] = self.engine.convert_to_tensor(leaf)
        key = (structure, *[(x.shape, x.dtype, x.device) for x in leaves])
        changing, constant = self.state.containers()
        inputs = [x.detach() for x in (*changing, *constant)]
        if key not in self.recorded:
            # Nobody waits for it: who holds the lock may wait for a variable that this step has locked.
            if not _tracing.acquire(blocking=False):
                return self._run(changing, constant, optree.tree_unflatten(structure, leaves))
            try:
                found = self._record(key, inputs, leaves)
            finally:
                _tracing.release()
        elif (known := self.recorded[key]) is not None:
            with torch.no_grad():
                found = known.call(*inputs, *leaves)
        recording = self.recorded[key]
        if recording is None:
            result = self._run(changing, constant, optree.tree_unflatten(structure, leaves))
            self._say_refused()
            return result
        for place, value in zip(recording.changed, found[recording.results :], strict=True):
            changing[place].data = value
        return optree.tree_unflatten(recording.structure, found[: recording.results])

    def _say_refused(self) -> None:
        """Say once why the step is not recorded, after it has run: an error of its own is no reason."""
        error, self._refused = self._refused, None
        if isinstance(error, _LOOKS) or ".numpy() is not supported" in str(error):
            tuning.say("A step runs unrecorded, which is slower: it looks at values.")
        elif error is not None and self._faulty and tuning.strict():
            raise error
        elif error is not None:
            said = "A step runs unrecorded, which is slower (one that calls `backward` does): %r."
            tuning.say(said, error, level="warning")

    def _run(self, changing: list[Any], constant: list[Any], args: Any) -> Any:
        """The step as it is; if it fails, the variables are as they were."""
        read = self.engine.read
        trains = any(x.requires_grad for x in changing)
        with nullcontext() if trains else torch.no_grad():
            values = [read(x) for x in changing]
            with self.state.bound(values, [read(x) for x in constant]) as collect:
                result = self.step(*args)
                after = collect()
        for container, before, value in zip(changing, values, after, strict=True):
            if value is not before:
                container.data = part_for(container, value.detach())
        return result

    def _record(self, key: Any, values: list[Any], leaves: list[Any]) -> list[Any]:
        """Record what the step calls on such arguments; gives what the calls gave."""
        changing, constant = self.state.containers()
        inputs = values + leaves
        structure, first, second = key[0], len(changing), len(changing) + len(constant)
        made: list[Any] = []

        def flat(*values: Any) -> list[Any]:
            given = optree.tree_unflatten(structure, values[second:])
            with self.state.bound(values[:first], values[first:second]) as collect:
                result = self.step(*given)
                after = collect()
            results, shape = flatten(self.engine._tensors(result))
            pairs = enumerate(zip(values, after, strict=False))
            changed = [i for i, (before, value) in pairs if value is not before]
            made[:] = [shape, changed, len(results)]
            return _apart([*results, *(after[i] for i in changed)], values)

        self.recorded[key] = None
        start, graph = time.perf_counter(), None
        try:
            with torch.no_grad():
                graph = self._trace(flat, inputs, made)
                call, found = _replay(graph, inputs, first)
        except Exception as error:
            if getattr(error, "stops_steps", False):
                del self.recorded[key]
                raise
            self._refused, self._faulty = error, graph is not None
            return []  # an error of the step's own comes again when it runs as it is
        finally:
            forget_source(graph)
        self.recorded[key] = _Recording(call, *made)
        seconds = time.perf_counter() - start
        programs.say_made("recorded", self.step, leaves, seconds, self._kinds)
        return found

    def _trace(
        self,
        flat: Callable[..., Any],
        inputs: Sequence[torch.Tensor],
        made: list[Any],
        made_of: dict[Any, Callable[..., Any]] | None = None,
    ) -> Any:
        """The calls of a function of tensors as a graph, some made of others; `made` is filled by then."""
        trace = make_fx(flat, made_of, tracing_mode="fake", _allow_non_fake_inputs=True)
        return trace(*inputs)


def forget_source(module: Any) -> None:
    """Take the source of a graph out of the process, which keeps it for ever: 38 KB for a small model."""
    name = (
        getattr(getattr(type(module).forward, "__code__", None), "co_filename", "")
        if module
        else ""
    )
    graph_module._loader.eval_cache.pop(name, None)
    linecache.cache.pop(name, None)


def _apart(results: list[Any], inputs: Sequence[Any]) -> list[Any]:
    """Results that share no memory with each other or the inputs, as far as they are the same tensor."""
    seen = set(map(id, inputs))
    apart = []
    for result in results:
        apart.append(result.clone() if id(result) in seen else result)
        seen.add(id(result))
    return apart


class _Recording:
    """A recorded step: the call, and what its results are."""

    def __init__(
        self, call: Callable[..., Any], structure: Any, changed: list[int], results: int
    ) -> None:
        self.call = call
        self.structure = structure
        self.changed = changed
        self.results = results


# ---------------------------------------------------------------------- replay


def _replay(
    module: Any, inputs: Sequence[torch.Tensor], owned: int
) -> tuple[Callable[..., Any], list[Any]]:
    """The calls of a graph as one function of Python, made of nothing else; and its first results.

    The first `owned` inputs are the call's to destroy.
    """
    graph: Graph = module.graph
    for node in graph.nodes:
        if node.target in _SAME and not any(map(writes, node.users)):
            node.replace_all_uses_with(node.args[0])
    _join_lerps(graph)
    _join_quotients(graph)
    graph.eliminate_dead_code()
    _reuse_memory(graph, set(list(graph.nodes)[:owned]))
    fixed = _fixed(graph)
    ends = _last_uses(graph)
    given = iter(inputs)
    values: dict[Node, Any] = {}
    calls: dict[Node, Callable[..., Any]] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = next(given)
        elif node.op == "get_attr":
            values[node] = getattr(module, str(node.target))
        elif node.op == "call_function":
            calls[node], values[node] = _called(
                node, *map_arg((node.args, node.kwargs), values.get)
            )
        for used in ends.get(node, ()):
            if used not in fixed:
                del values[used]
    (output,) = [node for node in graph.nodes if node.op == "output"]
    results = map_arg(output.args[0], values.__getitem__)
    source, scope = _source(graph, calls, {node: values[node] for node in fixed})
    exec(compile(source, "<recorded step>", "exec"), scope)
    return scope["replay"], list(results)


def _join_lerps(graph: Graph) -> None:
    """Let `a + (b - a) * share` on lists, a moving average, be one pass over memory in place of three."""
    for node in graph.nodes:
        if getattr(node.target, "_opname", "") != "_foreach_add":
            continue
        start, moved = node.args[:2]
        scaled = _source_of(moved, "_foreach_mul")
        difference = scaled and _source_of(scaled.args[0], "_foreach_sub")
        if difference and difference.args[1] == start and isinstance(scaled.args[1], float):
            node.target = torch.ops.aten._foreach_lerp.Scalar
            node.args = (start, difference.args[0], scaled.args[1])


def _join_quotients(graph: Graph) -> None:
    """Let `a - b * rate / c` on lists, a step along a scaled gradient, be one pass in place of three: a
    training step of an MLP with 235,000 weights and Adam takes 2 to 3 % less."""
    for node in graph.nodes:
        quotient: Any = _source_of(node.args[1], "_foreach_div") if _is_list_sub(node) else None
        scaled = quotient and _source_of(quotient.args[0], "_foreach_mul")
        if not scaled or not isinstance(quotient.args[1], list):
            continue
        moved, rate = scaled.args
        # The kernel takes the factors from the host's memory.
        if isinstance(rate, Node) and rate.meta["val"].device.type == "cpu":
            with graph.inserting_before(node):
                dtype = rate.meta["val"].dtype
                minus = _call(graph, torch.ops.aten.full.default, [len(moved)], -1.0, dtype=dtype)
                factors = _call(graph, torch.ops.aten.mul.Tensor, minus, rate)
            node.target = torch.ops.aten._foreach_addcdiv.Tensor
            node.args = (node.args[0], moved, quotient.args[1], factors)


def _call(graph: Graph, target: Any, *args: Any, **kwargs: Any) -> Node:
    """A new call in a graph."""
    node = graph.call_function(target, args, kwargs)
    known: Any = map_arg(args, lambda x: x.meta["val"])
    node.meta["val"] = target(*known, **kwargs)
    return node


def _is_list_sub(node: Node) -> bool:
    return getattr(node.target, "_opname", "") == "_foreach_sub" and isinstance(node.args[1], list)


def _source_of(parts: Any, name: str) -> Any:
    """The call on lists of that name that gives exactly these parts; None otherwise."""
    if not isinstance(parts, list) or not parts or parts[0].target is not operator.getitem:
        return None
    source = parts[0].args[0]
    whole = [
        part.target is operator.getitem and part.args == (source, i) for i, part in enumerate(parts)
    ]
    same = all(whole) and len(parts) == len(source.meta["val"])
    return source if same and getattr(source.target, "_opname", "") == name else None


def _reuse_memory(graph: Graph, owned: set[Node]) -> None:
    """Let calls write over what no later call reads: a training step of an MLP with 235,000 weights
    and Adam takes 2.2 ms in place of 2.5, most of the difference spent in page faults."""
    later: set[Node] = set()  # whose memory is read after the call at hand, through views too
    fixed = _fixed(graph)
    for node in reversed(list(graph.nodes)):
        name = getattr(node.target, "_opname", "")
        if _is_writer(node):
            first, *rest = node.args[1]
            read = set(map(root, rest))
            if _is_fresh(first, fixed) and root(first) not in later | read:
                node.meta["in_place"] = call_over
        for place in _places(node, name):
            given = node.args[place]
            operands = given if isinstance(given, list) else [given]
            rest = [x for at, x in enumerate(node.args) if at != place]
            roots = set(map(root, operands))
            read = {root(x) for x in node.all_input_nodes if x not in operands}
            mine = owned if given is operands else set()
            makes = all(x in mine or _is_fresh(x, fixed) for x in operands)
            if makes and len(roots) == len(operands) and not roots & (later | read):
                node.args = (given, *rest)
                node.meta["in_place"] = _IN_PLACE[name]
                break
        later.update(map(root, node.all_input_nodes))


def _is_writer(node: Node) -> bool:
    """Whether a node calls what can write its only result over its first operand."""
    if node.target is not torch.ops.cornu.call.default or node.args[0] not in WRITERS:
        return False
    (made,), keeps = node.meta["val"][:1], node.args[2]
    return not keeps and _kind(node.args[1][0].meta["val"]) == _kind(made)


def _places(node: Node, name: str) -> list[int]:
    """The operands of a call that it can write over."""
    if name not in _IN_PLACE:
        return []
    places = [0, 1] if name in _COMMUTING else [0]
    if name.startswith("_foreach_"):
        return [i for i in places if isinstance(node.args[i], list)]
    return [i for i in places if isinstance(node.args[i], Node) and _is_alike(node.args[i], node)]


def _is_alike(x: Node, node: Node) -> bool:
    """Whether an operand's memory is what the result needs."""
    return _kind(x.meta["val"]) == _kind(node.meta["val"]) and not node.kwargs


def _kind(x: torch.Tensor) -> Any:
    """How a tensor lies in memory."""
    return x.shape, x.stride(), x.dtype


def root(node: Node) -> Node:
    """The node whose memory a node's value lies in."""
    while True:
        source: Any = node.args[0] if node.target is operator.getitem else node
        schema = getattr(source.target, "_schema", None)
        aliases = schema is not None and any(x.alias_info for x in schema.returns)
        if not aliases and "unsafe_" not in getattr(source.target, "_opname", ""):
            return node
        node = source.args[0]


def _is_fresh(node: Node, fixed: set[Node]) -> bool:
    """Whether a node's memory was made by its call, at each call of the step, for it alone."""
    if getattr(node.target, "_opname", "") in _VIEWS:
        return len(node.all_input_nodes[0].users) == 1 and _is_fresh(node.all_input_nodes[0], fixed)
    made = node.all_input_nodes[0] if node.target is operator.getitem else node
    known = hasattr(made.target, "_schema") and made not in fixed
    return known and not writes(made) and root(node) is node


def writes(node: Node) -> bool:
    """Whether a node changes a tensor in place."""
    return getattr(getattr(node.target, "_schema", None), "is_mutable", False)


def _fixed(graph: Graph) -> set[Node]:
    """The nodes that depend on no input and on no chance: the same at each call, computed once."""
    found: set[Node] = set()
    # What is written in place differs from call to call, with all that lies in the same memory.
    changing = {root(x) for node in graph.nodes if writes(node) for x in node.all_input_nodes}
    for node in graph.nodes:
        chance = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        kept = node.op == "call_function" and root(node) not in changing and not chance
        if node.op == "get_attr" or (kept and all(x in found for x in node.all_input_nodes)):
            found.add(node)
    return found


def _called(node: Node, args: Any, kwargs: Any) -> tuple[Callable[..., Any], Any]:
    """What to call for a node, and what it gives: the function of `torch` of that name where it takes
    the same arguments, as it reads them faster (a sum takes 2.0 us, by the operator 3.1)."""
    target: Any = node.target
    if "in_place" in node.meta:
        return node.meta["in_place"], node.meta["in_place"](*args, **kwargs)
    if target in DIRECT:
        return DIRECT[target], DIRECT[target](*args, **kwargs)
    direct = getattr(torch, getattr(target, "_opname", ""), None)
    if direct is not None and target.namespace == "aten" and "val" in node.meta:
        try:
            result = direct(*args, **kwargs)
        except TypeError:
            pass
        else:
            if _kinds(result) == _kinds(node.meta["val"]):
                return direct, result
    return getattr(target, "_op", target), target(*args, **kwargs)


def _kinds(result: Any) -> list[Any]:
    """Shape and dtype of each tensor."""
    parts = result if isinstance(result, (tuple, list)) else [result]
    return [None if x is None else (tuple(x.shape), x.dtype) for x in parts]


def _source(
    graph: Graph, calls: dict[Node, Callable[..., Any]], fixed: dict[Node, Any]
) -> tuple[str, dict[str, Any]]:
    """The text of the function `replay`, and what its names mean."""
    scope: dict[str, Any] = {f"k_{node.name}": value for node, value in fixed.items()}
    names = {node: f"k_{node.name}" if node in fixed else node.name for node in graph.nodes}
    ends = _last_uses(graph)
    lines, parameters = [], []
    for node in graph.nodes:
        parts = _parts(node)
        if node.op == "placeholder":
            parameters.append(node.name)
        elif node.op == "output":
            lines.append(f"return [{', '.join(names[x] for x in node.args[0])}]")
        elif node not in fixed and not _is_part(node):
            scope[f"f_{node.name}"] = calls[node]
            target = f"{', '.join(parts)}," if parts else node.name
            lines.append(f"{target} = f_{node.name}({_arguments(node, names, scope)})")
        freed = (x for x in ends.get(node, ()) if x not in fixed and not _parts(x))
        lines += [f"{names[x]} = None" for x in freed]
    body = "\n    ".join(lines)
    return f"def replay({', '.join(parameters)}):\n    {body}", scope


def _is_part(node: Node) -> bool:
    """Whether a node only takes one of several results, which their call names itself."""
    return node.target is operator.getitem and bool(_parts(node.args[0]))


def _parts(node: Any) -> list[str]:
    """The names of a node's results, if it has several and nothing but names is asked of it."""
    if not node.users or any(user.target is not operator.getitem for user in node.users):
        return []
    names = ["_"] * len(node.meta["val"])
    for user in node.users:
        if names[user.args[1]] != "_":
            return []
        names[user.args[1]] = user.name
    return names


def _last_uses(graph: Graph) -> dict[Node, list[Node]]:
    """For each node, the nodes whose values nothing after it uses: their memory is free then."""
    seen: set[Node] = set()
    ends: dict[Node, list[Node]] = {}
    for node in reversed(list(graph.nodes)):
        for used in node.all_input_nodes:
            if used not in seen:
                seen.add(used)
                if node.op != "output":
                    ends.setdefault(node, []).append(used)
    return ends


def _arguments(node: Node, names: dict[Node, str], scope: dict[str, Any]) -> str:
    """The arguments of a call as source text."""

    def text(x: Any) -> str:
        if isinstance(x, Node):
            return names[x]
        if isinstance(x, (list, tuple)) and any(isinstance(e, Node) for e in x):
            return f"[{', '.join(map(text, x))}]"
        if x is None or isinstance(x, (bool, int, str)):
            return repr(x)
        name = f"c{len(scope)}"
        scope[name] = list(x) if isinstance(x, (list, tuple)) else x
        return name

    named = [f"{key}={text(value)}" for key, value in node.kwargs.items()]
    return ", ".join([*map(text, node.args), *named])
