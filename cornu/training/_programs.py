"""Which compiled function runs for which variables: the programs of a model's steps."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import tuning
from ..core import layouts, seeding, tree
from ..core.keras_tensor import KerasTensor
from ..core.scopes import SymbolicScope
from ..core.state import CompiledStep
from ..core.tracking import Tracker
from ..core.variable import Variable
from ..data import check_dtype, unpack_x_y_sample_weight
from ..engines import current
from ..engines.host import holds_text
from ._padding import Counted
from ._placing import with_laid_outputs
from ._steps import AccumulatingSteps, Steps
from ._values import joined, logs_of

if TYPE_CHECKING:
    from ._nan import Guard

_EMPTY = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Settings(NamedTuple):
    """What a program was made for: with other ones it is made again."""

    run_eagerly: bool
    guarded_against_nan: bool
    #: These are by the ids of layers and variables.
    trainable_layers: tuple[tuple[int, Any], ...]
    trainable_variables: tuple[tuple[int, Any], ...]
    dtypes: tuple[tuple[int, Any], ...]
    rematerialization: tuple[tuple[int, Any], ...]
    transforms: tuple[tuple[int, Any], ...]
    variables: tuple[tuple[int, Any], ...]
    #: A step that draws without a seed has found the generator of its time by itself.
    seeds: int
    distribution: Any

    def difference(self, former: Settings, paths: dict[int, str]) -> str:
        """What has changed from former settings, in words."""
        pairs = zip(self._fields, former, self, strict=True)
        changed = [(name.replace("_", " "), a, b) for name, a, b in pairs if a != b]
        return "; ".join(f"{name}, {_difference(a, b, paths)}" for name, a, b in changed)


def _chains(layer: Any) -> tuple[Any, ...]:
    return tuple((of, transform, transform.version) for of, transform in layer.transforms)


class Programs:
    """The compiled steps of a model, kept from one `fit` to the next.

    Args:
        model: The model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._made: dict[str, tuple[Settings, Callable[..., Any]]] = {}
        self._predicting: tuple[Any, Callable[..., Any]] | None = None
        self._seen: Any = None
        #: Whether a part of the model runs on the host, as known since `predicting` was last called.
        self.on_host = False
        #: Whether steps of training change nothing once one gives what is no number.
        self.guards = False
        self._fillable: tuple[Any, dict[Any, bool]] | None = None

    @functools.cached_property
    def guard(self) -> Guard:
        """What keeps steps from changing anything, and finds where a NaN came from."""
        from ._nan import Guard

        return Guard()

    def get(self, which: str, force: bool = False) -> Callable[..., Any]:
        """The program of the step `"train"`, `"test"` or `"predict"`, made again where that is due.

        That of the step `"counted"` evaluates batches of which so many samples count (`_padding`).
        """
        changing, constant = self._variables(which)
        settings = self._settings(changing, constant)
        made = self._made.get(which)
        if made is not None and not force and made[0] == settings:
            return made[1]
        if made is not None and made[0] != settings and tuning.says():
            parts = [*self.model._flatten_layers(), *changing, *constant]
            why = settings.difference(made[0], {id(part): part.path for part in parts})
            tuning.say(
                "The %s step of %r is made again, for other %s.", which, self.model.name, why
            )
        function = self._make(which, changing, constant)
        self._made[which] = settings, function
        return function

    def guard_if(self, asked: bool) -> None:
        """Guard the steps of a training that begins, or don't."""
        self.guards = asked
        if asked:
            self.guard.begin()

    def predicting(self) -> Callable[..., Any]:
        """The program of predictions, looked up again only if some layer's parts have changed."""
        model = self.model
        now = Tracker.last_change, seeding.generation(), model.run_eagerly
        known = self._predicting
        if known is None or now != self._seen:
            version = model._family(), *now[1:], layouts.current()
            if known is None or known[0] != version:
                self._predicting = known = version, model.make_predict_function()
                self.on_host = model._prepares or model._ending is not None
            self._seen = now
        return known[1]

    def fillable(self) -> dict[Any, bool]:
        """Which batches may be filled up (`_padding`), as found since some layer's parts have changed."""
        family = self.model._family()
        if self._fillable is None or self._fillable[0] is not family:
            self._fillable = family, {}
        return self._fillable[1]

    def _variables(self, which: str) -> tuple[list[Variable], list[Variable]]:
        """What a step changes, and what it only reads.

        The states of random generators count as constant outside training, where few models draw: with
        one that is taken and given back, `predict` of a sample takes 28 us in place of 22.
        """
        model = self.model
        if which == "predict":
            return [], model.variables
        if which in ("test", "counted"):
            return model.metrics_variables, model.variables
        optimizer = model.optimizer.variables if model.optimizer is not None else []
        more = [*logged(model).values(), *([self.guard.is_good] if self.guards else [])]
        return [*model.variables, *optimizer, *model.metrics_variables, *more], []

    def _settings(self, changing: list[Variable], constant: list[Variable]) -> Settings:
        model = self.model
        layers = model._flatten_layers()
        return Settings(
            model.run_eagerly,
            self.guards,
            tuple((id(layer), layer._trainable) for layer in layers),
            tuple((id(variable), True) for variable in model.trainable_variables),
            tuple((id(layer), layer._cast_dtype) for layer in layers),
            tuple((id(layer), layer._remat) for layer in layers),
            tuple((id(x), _chains(x)) for x in layers if x.transforms),
            tuple((id(variable), True) for variable in [*changing, *constant]),
            seeding.generation(),
            layouts.current(),
        )

    def _make(
        self, which: str, changing: list[Variable], constant: list[Variable]
    ) -> Callable[..., Any]:
        """A program: it takes the batches of one execution. All of them are made here."""
        model = self.model
        step = Counted(step_of(model, "test")) if which == "counted" else step_of(model, which)
        if layouts.current() is not None:
            step = with_laid_outputs(step)
        jit = None if model.jit_compile == "auto" else model.jit_compile
        if which == "train" and self.guards:
            step = self.guard.guarded(step)

        def once(data: Any) -> dict[str, Any]:
            logs = logs_of(model, step(data))
            told = logged(model) if which == "train" else {}
            return {**logs, **{name: variable.value for name, variable in told.items()}}

        def execution(batches: Sequence[Any]) -> Any:
            if which == "predict":
                return joined([step(data) for data in batches])
            return [once(data) for data in batches][-1]

        def compiled(run: Callable[..., Any]) -> Callable[..., Any]:
            return run if model.run_eagerly else CompiledStep(run, changing, constant, jit)

        if which == "train" and _accumulates(model):
            return AccumulatingSteps(once, model.optimizer, compiled)
        if model.run_eagerly or which == "predict":
            return compiled(execution)
        return Steps(once, changing, constant, jit)


def logged(model: Any) -> dict[str, Variable]:
    """What the optimizer tells the logs, by name."""
    logged: dict[str, Variable] = getattr(model.optimizer, "logged_variables", {})
    return logged


def _difference(before: Any, now: Any, paths: dict[int, str]) -> str:
    """What differs between two settings: a few of the paths, where they are of layers or variables."""
    if not isinstance(now, tuple):
        return f"{now} after {before}"
    changed = sorted({paths.get(key, "what is gone") for key, _ in {*before} ^ {*now}})
    some = ", ".join(map(repr, changed[:3]))
    return f"those of {some}{f' and {len(changed) - 3} more' if len(changed) > 3 else ''}"


def _accumulates(model: Any) -> bool:
    """Whether the optimizer accumulates gradients, which a step is known to give it once."""
    from ._trainer import Trainer

    own = type(model).train_step is Trainer.train_step and "train_step" not in vars(model)
    return own and bool(getattr(model.optimizer, "gradient_accumulation_steps", None))


def step_of(model: Any, which: str) -> Callable[[Any], Any]:
    """A step of the model's, as a function of a batch over its variables."""
    step = getattr(model, f"{which}_step")
    if _takes_state(model, f"{which}_step"):
        return _over_variables(model, step, which)

    def cleared(data: Any) -> Any:
        result = step(data)
        model._clear_losses()
        return result

    return cleared


def _takes_state(model: Any, name: str) -> bool:
    """Whether a step is a `step(state, data)`. One of `*args` is what it passes them on to."""
    above = (getattr(super(cls, model), name, None) for cls in type(model).__mro__)
    for step in (getattr(model, name), *above):
        parameters = inspect.signature(step).parameters.values() if step else ()
        if not any(p.kind is p.VAR_POSITIONAL for p in parameters):
            return [p.default for p in parameters if p.kind in _POSITIONAL].count(_EMPTY) == 2
    return False


def _over_variables(model: Any, step: Callable[..., Any], which: str) -> Callable[[Any], Any]:
    """A `step(state, data)`, which takes and gives all values, as a step over the variables."""

    def over_variables(data: Any) -> Any:
        groups = [model.trainable_variables, model.non_trainable_variables]
        if which == "train":
            groups.append(model.optimizer.variables)
        if which != "predict":
            groups.append(model.metrics_variables)
        state = tuple([variable.value for variable in group] for group in groups)
        found = step(state, data)
        if found is None:
            return None
        result, state = found if len(found) == 2 else (None, found)
        if which == "predict":  # only what the model itself changes comes back
            groups, state = groups[1:], (state,)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return result

    return over_variables


def prepare(model: Any, data: Any, training: bool) -> None:
    """Make every variable that a step needs, from the shapes of a first batch."""
    x, y, _ = unpack_x_y_sample_weight(data)
    if any(map(holds_text, tree.flatten(x))) and not model.run_eagerly:
        _take_strings(model)
    for leaf in () if model.run_eagerly else tree.flatten(data):
        if holds_text(leaf):
            check_dtype(leaf.dtype)
    if y is not None and model._ending is not None and not model.run_eagerly:
        raise ValueError(
            f"Outputs are numbers in training and evaluation. Received: the model {model.name!r}, some of whose "
            "outputs are strings. Train `cornu.Model(inputs, outputs)` of the others, and predict with this one."
        )
    has_call = model._call_signature.first is not None  # a model of models may have steps alone
    specs = tree.map_structure(_input_spec, x)
    if has_call and not model.built:
        with SymbolicScope():
            model(specs)
    if model.optimizer is not None and training:
        model.optimizer.follow(model)
    containers = [c for c in (model._compile_loss, model._compile_metrics) if c is not None]
    if has_call and y is not None and any(not container.built for container in containers):
        y_spec = tree.map_structure(_spec, y)
        with SymbolicScope():
            y_pred = model._predicted(specs, training=False)
        for container in containers:
            container.build(y_spec, y_pred, model._output_names())
    model._clear_losses()


def _take_strings(model: Any) -> None:
    """Let the steps of a model whose call has layers of strings run eagerly: no engine compiles them."""
    if any(layer.on_host for layer in model._flatten_layers()):
        model.run_eagerly = True
        tuning.say(
            "The steps of %r run eagerly, as its call takes strings. In front of it, as in "
            "`Sequential([vectorize, model])`, the layer that takes them leaves it compiled.",
            model.name,
        )


def _input_spec(x: Any) -> Any:
    return KerasTensor((None, *x.shape[1:]), "string") if holds_text(x) else _spec(x)


def _spec(x: Any) -> Any:
    """An array's spec, with the batch left open."""
    if x is None or isinstance(x, KerasTensor):
        return x
    if holds_text(x):
        check_dtype(x.dtype)
    engine = current()
    dtype = engine.dtype_of(x) if engine.is_tensor(x) else engine.canonical_dtype(str(x.dtype))
    return KerasTensor((None, *tuple(x.shape)[1:]), dtype)
