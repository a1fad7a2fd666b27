"""Optimizer: how gradients change variables; everything but the update rule itself."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np

from .. import initializers, ops
from ..core import naming
from ..core.described import Described
from ..core.dtypes import is_float
from ..core.scopes import StatelessScope, given_values
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..core.transforms import tell_trained
from ..core.variable import Variable, take_all
from ..engines import current
from ._groups import Groups
from .schedules import LearningRateSchedule


class Options(TypedDict, total=False):
    """What every optimizer takes.

    weight_decay: The share of a weight taken off at each step, times the learning rate.
    clipnorm: The largest norm of each gradient.
    clipvalue: The largest absolute value of each gradient's elements.
    global_clipnorm: The largest norm of all gradients together.
    use_ema: Whether a moving average of the weights is kept.
    ema_momentum: The share of the average that stays at each step.
    ema_overwrite_frequency: After how many steps the average replaces the weights.
    loss_scale_factor: What the loss is multiplied by, and gradients divided by.
    gradient_accumulation_steps: Over how many steps gradients are averaged for one update.
    learning_rates: Learning rates of groups of variables, by patterns of their paths, such as
        `{"backbone/*": 1e-5}`: each takes the place of `learning_rate` in updates and in weight decay.
        0 or None freezes a group.
    log_gradient_norm: Whether `gradient_norm`, that of all gradients before clipping, is in the logs.
    name: The optimizer's name.
    """

    weight_decay: float | None
    clipnorm: float | None
    global_clipnorm: float | None
    clipvalue: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    learning_rates: dict[str, Any] | None
    log_gradient_norm: bool
    name: str | None


class Optimizer(Described):
    """How gradients change variables.

    An optimizer of Cornu says what it keeps for each variable (`slots`, zeros at first) and gives a
    `rule`. One of a user may instead override `build` and `update_step`, as in Keras.

    Args:
        learning_rate: A number, a schedule, or a call that gives a number.

    Raises:
        ValueError: Where more than one way of clipping is asked for.
    """

    #: What is kept for each variable: the names of its slots.
    slots: ClassVar[tuple[str, ...]] = ()
    #: Slots that come after all others in files, each for all variables.
    late_slots: ClassVar[tuple[str, ...]] = ()
    #: Whether the rule treats each element of a weight alone, so that weights may be updated together.
    elementwise: ClassVar[bool] = True
    _describes_users = True
    _kept_as = {"learning_rate": "_learning_rate"}
    _unwritten_arguments = frozenset({"learning_rate", "learning_rates"})
    _optional_arguments = frozenset({"log_gradient_norm"})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls).get("__init__")
        if own is not None and "options" in inspect.signature(own).parameters:
            cls.__init__ = _with_options(own)  # type: ignore[method-assign]

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        *,
        learning_rates: dict[str, Any] | None = None,
        log_gradient_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if kwargs:
            raise ValueError(
                f"{type(self).__name__} has no such arguments. Received: {sorted(kwargs)}. "
                f"It takes {list(inspect.signature(type(self)).parameters)[:-1]}."
            )
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if sum(value is not None for value in clips.values()) > 1:
            raise ValueError(
                f"Gradients are clipped in one way at most. Received: {clips}. Keep one of them."
            )
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ValueError(f"`ema_momentum` lies in [0, 1]. Received: {ema_momentum}.")
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise ValueError(
                "`gradient_accumulation_steps` must be 2 or more. Received: "
                f"gradient_accumulation_steps={gradient_accumulation_steps}."
            )
        self.name = name or naming.auto_name(type(self).__name__)
        self.built = False
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._slots: dict[str, list[Variable | None]] = {}
        self._places: dict[Variable, int] = {}
        self._undecayed: set[Variable] = set()
        self._undecayed_names: list[str] = []
        self._averages: list[Variable | None] = []
        self._accumulated: list[Variable | None] = []
        #: Whether accumulated gradients are due, where who runs the step counts; None to look at `iterations`.
        self._due: bool | None = None
        self._has_said = False
        #: Whether what it trains is what a model does.
        self._follows = False
        #: What the logs have beside the metrics, by name. It is told, not kept: no file has it.
        self.logged_variables: dict[str, Variable] = {}
        if log_gradient_norm:
            self._log("gradient_norm", np.zeros((), "float32"))
        with naming.NameScope(self.name, caller=self):
            self._iterations = self._own(
                Variable(np.zeros((), "int32"), trainable=False, name="iteration")
            )
        if isinstance(learning_rate, dict):
            learning_rate = deserialize_keras_object(learning_rate)
            self._learning_rate = learning_rate
        is_number = not callable(learning_rate)
        if is_number:
            if not isinstance(learning_rate, (int, float, np.floating)) and not hasattr(
                learning_rate, "shape"
            ):
                raise ValueError(
                    "A learning rate is a number, a schedule or a callable. Received: "
                    f"learning_rate={learning_rate!r}. Pass 0.001, say, or a schedule of "
                    "`cornu.optimizers.schedules`."
                )
            with naming.NameScope(self.name, caller=self):
                self._learning_rate = self._own(
                    Variable(
                        np.asarray(learning_rate, "float32"), trainable=False, name="learning_rate"
                    )
                )
        base = float(np.asarray(learning_rate)) if is_number else None
        self._groups = Groups(learning_rates or {}, base)

    # ------------------------------------------------------------------ state

    def _own(self, variable: Variable) -> Variable:
        self._variables.append(variable)
        return variable

    def _log(self, name: str, value: Any) -> None:
        """Have a value in the logs, at first this one."""
        with naming.NameScope(self.name, caller=self):
            self.logged_variables[name] = Variable(value, trainable=False, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's state, in the order in which it is saved."""
        return list(self._variables)

    @property
    def iterations(self) -> Any:
        """The number of updates so far."""
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    @iterations.setter
    def iterations(self, variable: Variable) -> None:
        if self.built:
            raise RuntimeError(
                "`iterations` can't be replaced once the optimizer is built. Received: "
                f"iterations={variable!r}. Assign to it instead."
            )
        self._variables[0] = self._iterations = variable

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a variable, or what the schedule gives at this iteration."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self.iterations)
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        current = self._learning_rate
        if isinstance(current, Variable) and callable(value):
            self._variables = [v for v in self._variables if v is not current]
        if callable(value):
            self._learning_rate = value
        elif isinstance(current, Variable):
            current.assign(value)
        else:
            raise TypeError(
                "The learning rate of an optimizer with a schedule can't be set to a number. "
                f"Received: learning_rate={value!r}. Compile with a number to change it in training."
            )

    def _get_current_learning_rate(self) -> Any:
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            return rate(self.iterations)
        return rate() if callable(rate) and not isinstance(rate, Variable) else rate

    def build(self, variables: Sequence[Variable]) -> None:
        """Make what is kept for each variable; for those of a frozen group nothing is."""
        self._groups.check(variables)
        if self.use_ema:
            self._averages = self._one_each(variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulated = self._one_each(variables, "gradient_accumulator")
        self._trainable_variables = list(variables)
        self._places = {v: i for i, v in enumerate(variables)}
        self._slots = {}
        if type(self).build is Optimizer.build or self.slots:
            rows = [self.make_slots(v) if self.trains(v) else {} for v in variables]
            names = dict.fromkeys(name for row in rows for name in row)
            self._slots = {name: [row.get(name) for row in rows] for name in names}
        late = [v for name in self.late_slots for v in self._slots.get(name, ()) if v is not None]
        moved = {id(v) for v in late}
        self._variables = [*(v for v in self._variables if id(v) not in moved), *late]
        self.built = True

    def rebuild(self, variables: Sequence[Variable]) -> None:
        """Train these variables from now on, as after some have come or gone.

        What is kept for those it knows stays, it begins for new ones, and is freed for others. The state of
        a user's optimizer with a `build` of its own begins anew.

        >>> import numpy as np
        >>> from cornu import Variable, optimizers
        >>> first, second = Variable(np.ones(2)), Variable(np.ones(3))
        >>> optimizer = optimizers.SGD(0.5, momentum=0.5)
        >>> optimizer.apply([np.ones(2, "float32")], [first])
        >>> optimizer.rebuild([second, first])
        >>> [v.numpy().tolist() for v in optimizer.variables[2:]]
        [[0.0, 0.0, 0.0], [-0.5, -0.5]]
        """
        former = self._kept() if self.built else {}
        gone = {id(variable) for variable in former.values()}
        self._variables = [v for v in self._variables if id(v) not in gone]
        self.built = False
        self.build(variables)
        for key, variable in self._kept().items():
            if key in former:
                variable.assign(former[key])

    def _kept(self) -> dict[tuple[Any, Any], Variable]:
        """What is kept, by what it is and the variable that it is kept for."""
        rows: dict[Any, Any] = {0: self._averages, 1: self._accumulated, **self._slots}
        return {
            (name, variable): kept
            for name, row in rows.items()
            for variable, kept in zip(self._trainable_variables, row, strict=False)
            if kept is not None
        }

    def follow(self, model: Any) -> None:
        """Train what a model trains, and after that has changed, what it trains by then (`rebuild`).

        One that was built otherwise trains what it was built for. What is kept for a variable that was frozen
        stays with it, as it may be trained again.
        """
        own = model.trainable_variables
        if self._groups.rates:
            self._groups.beside = [v.path for v in model.variables]
        if not self.built:
            self.build(own)
            self._follows = True
            return
        # One that stores codes by now is none that may be trained again.
        may_train = {v for v in model.variables if is_float(v.dtype)}
        if self._follows and not set(own) <= set(self._places) <= may_train:
            self.rebuild(own)

    def _one_each(self, variables: Sequence[Variable], name: str) -> list[Variable | None]:
        return [
            self.add_variable_from_reference(v, name) if self.trains(v) else None for v in variables
        ]

    def trains(self, variable: Variable) -> bool:
        """Whether the variable is in no frozen group: the gradient of one that is has no use."""
        return not self._groups.freezes(variable)

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """What is kept for one variable, by the slots' names."""
        return {name: self.add_variable_from_reference(variable, name) for name in self.slots}

    def add_variable(
        self,
        shape: Any,
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable of the optimizer's state."""
        with naming.NameScope(self.name, caller=self):
            return self._own(
                Variable(
                    initializers.get(initializer),
                    shape=shape,
                    dtype=dtype,
                    trainable=False,
                    aggregation=aggregation,
                    layout=layout,
                    name=name,
                )
            )

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Make a variable of the shape and dtype of another, named after it."""
        base = reference_variable.path.replace("/", "_")
        made = self.add_variable(
            shape=reference_variable.shape,
            initializer=initializer,
            dtype=reference_variable._dtype,
            name=f"{base}_{name}" if name else base,
        )
        made.kept_for = reference_variable
        return made

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """One variable for each of `trainable_variables`; a list for each name where several are given."""
        names = [name] if isinstance(name, str) else list(name)
        given = (
            initializer if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        )
        made: list[list[Variable]] = [[] for _ in names]
        for variable in trainable_variables:
            for place, one, draw in zip(made, names, given, strict=True):
                place.append(self.add_variable_from_reference(variable, one, draw))
        return made[0] if isinstance(name, str) else tuple(made)

    def _get_variable_index(self, variable: Variable) -> int:
        return self._places[variable]

    # ----------------------------------------------------------------- update

    def rule(self, *args: Any, **slots: Any) -> tuple[Any, ...]:
        """The new weight, then the new value of each slot, of gradient, weight, rate and slots."""
        raise NotImplementedError(
            f"The optimizer {type(self).__name__} must have a `rule` or an `update_step`."
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Change one variable by its gradient."""
        self._apply_rule([(gradient, variable)], learning_rate)

    def _kind(self, variable: Variable) -> tuple[Any, ...]:
        """What variables share that are updated together: the dtype, and which slots they have."""
        place = self._get_variable_index(variable)
        return variable._dtype, *(kept[place] is None for kept in self._slots.values())

    def _apply_rule(self, pairs: Sequence[tuple[Any, Variable]], learning_rate: Any) -> None:
        """The rule on several variables, of one dtype and with the same slots, in one call."""
        names = list(self._slots)
        places = [self._get_variable_index(variable) for _, variable in pairs]
        slots = [[self._slots[name][place] for name in names] for place in places]
        rows = [
            (gradient, variable.value, *(None if kept is None else kept.value for kept in row))
            for (gradient, variable), row in zip(pairs, slots, strict=True)
        ]

        def rule(gradient: Any, weight: Any, *kept: Any) -> tuple[Any, ...]:
            return self.rule(gradient, weight, learning_rate, **dict(zip(names, kept, strict=True)))

        for (_, variable), row, found in zip(pairs, slots, current().each(rule, rows), strict=True):
            for place, value in zip((variable, *row), found, strict=True):
                if place is not None:
                    place.assign(value)

    def assign(self, variable: Variable, value: Any) -> None:
        """Set a variable, for an `update_step` of a user."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract from a variable."""
        variable.assign_sub(value)

    @property
    def step(self) -> Any:
        """The number of this update, counted from 1, as a float."""
        return ops.cast(ops.add(self.iterations, 1), "float32")

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Any:
        """Apply pairs `(gradient, variable)`."""
        gradients, variables = zip(*grads_and_vars, strict=True)
        self.apply(list(gradients), list(variables))
        return self._iterations

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Change variables by their gradients.

        Args:
            grads: A gradient for each variable; None where a variable has none.
            trainable_variables: The variables; those that the optimizer was built for where they
                are left out.
        """
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    "An optimizer must know its variables. Received: gradients for an optimizer "
                    f"that was never built ({self.name!r}). Pass `trainable_variables`, or `build` it."
                )
            trainable_variables = self._trainable_variables
        if len(grads) != len(trainable_variables):
            raise ValueError(
                "There must be a gradient for each variable. Received: "
                f"{len(grads)} gradients for {len(trainable_variables)} variables."
            )
        if not self.built:
            self.build(trainable_variables)
        self._check_known(trainable_variables)
        if not trainable_variables:
            self._say_nothing_trains()
        given = [(g, v) for g, v in zip(grads, trainable_variables, strict=True) if self.trains(v)]
        pairs = self._with_gradient(given)
        if not pairs:
            return
        scale = self.loss_scale_factor
        pairs = [(g if scale is None else ops.divide(g, scale), v) for g, v in pairs]
        if self.gradient_accumulation_steps:
            self._accumulate(pairs)
        else:
            self._advance(pairs)
        self._iterations.assign_add(1)

    def _advance(self, pairs: list[tuple[Any, Variable]]) -> None:
        """One update, and what is counted in updates."""
        self._update(pairs)
        if self.use_ema:
            self._average()

    def _say_nothing_trains(self) -> None:
        if not self._has_said:
            self._has_said = True
            warnings.warn(
                f"There is nothing to train. Received: no variables for {self.name!r}. Is the model "
                "frozen, or without weights?",
                stacklevel=5,
            )

    def _check_known(self, variables: Sequence[Variable]) -> None:
        unknown = [v.path for v in variables if v not in self._places]
        if unknown:
            raise ValueError(
                "An optimizer changes the variables that it was built for. Received: "
                f"{unknown[:5]}, which are new to {self.name!r}. `rebuild` it for them: what it "
                "keeps for the others stays."
            )

    def _with_gradient(self, given: Sequence[tuple[Any, Variable]]) -> list[tuple[Any, Variable]]:
        pairs = []
        missing = []
        for gradient, variable in given:
            if gradient is None:
                missing.append(variable.path)
            elif variable.overwrite_with_gradient:
                variable.assign(gradient)
            else:
                pairs.append((ops.convert_to_tensor(gradient), variable))
        if missing and not pairs and not any(v.overwrite_with_gradient for _, v in given):
            raise ValueError(
                "Training needs gradients. Received: None for every variable. Check that the loss "
                "depends on them."
            )
        if missing:
            warnings.warn(
                f"Some variables have no gradient: {missing[:5]}. Does the loss depend on them?",
                stacklevel=4,
            )
        return pairs

    def _update(self, pairs: list[tuple[Any, Variable]]) -> None:
        gradients = [gradient for gradient, _ in pairs]
        if self.log_gradient_norm:
            self.logged_variables["gradient_norm"].assign(global_norm(gradients))
        groups: dict[str | None, list[tuple[Any, Variable]]] = {}
        for gradient, (_, variable) in zip(self._clipped(gradients), pairs, strict=True):
            groups.setdefault(self._groups.of(variable), []).append((gradient, variable))
        current = self._get_current_learning_rate()
        for pattern, group in groups.items():
            rate = self._groups.rate(pattern, current, self.iterations)
            self._update_group(group, ops.cast(rate, "float32"))
        for _, variable in pairs:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        tell_trained([variable for _, variable in pairs])

    def _update_group(self, pairs: Sequence[tuple[Any, Variable]], rate: Any) -> None:
        """Update variables that share a learning rate."""
        self._decay([variable for _, variable in pairs], rate)
        cast = [(ops.cast(gradient, v._dtype), v) for gradient, v in pairs]
        if self.elementwise and type(self).update_step is Optimizer.update_step:
            kinds: dict[Any, list[tuple[Any, Variable]]] = {}
            for gradient, variable in cast:
                kinds.setdefault(self._kind(variable), []).append((gradient, variable))
            for (dtype, *_), alike in kinds.items():
                self._apply_rule(alike, ops.cast(rate, dtype))
        else:
            for gradient, variable in cast:
                self.update_step(gradient, variable, ops.cast(rate, variable._dtype))

    def _accumulate(self, pairs: list[tuple[Any, Variable]]) -> None:
        """Add gradients up; at every n-th step update with their mean and start again."""
        steps = self.gradient_accumulation_steps
        kept: list[Any] = [self._accumulated[self._get_variable_index(v)] for _, v in pairs]
        sums = [ops.add(g, a) for (g, _), a in zip(pairs, kept, strict=True)]
        means = [(ops.divide(s, steps), v) for s, (_, v) in zip(sums, pairs, strict=True)]
        due: Any = self._due
        if due is None:
            due = ops.equal(ops.mod(ops.add(self._iterations, 1), steps), 0)
            only_if(due, lambda: self._advance(means))
            sums = [ops.where(due, ops.zeros_like(total), total) for total in sums]
        elif due:
            self._advance(means)
            sums = [ops.zeros_like(total) for total in sums]
        for place, total in zip(kept, sums, strict=True):
            place.assign(total)

    def _clipped(self, gradients: list[Any]) -> list[Any]:
        if self.clipnorm:
            return [clip_by_norm(gradient, self.clipnorm) for gradient in gradients]
        if self.global_clipnorm:
            return clip_by_global_norm(gradients, self.global_clipnorm)
        if self.clipvalue:
            limit = self.clipvalue
            return [ops.clip(gradient, -limit, limit) for gradient in gradients]
        return gradients

    def _decay(self, variables: Sequence[Variable], rate: Any) -> None:
        if self.weight_decay is None:
            return
        for variable in variables:
            if self._decays(variable):
                step = ops.multiply(ops.cast(rate, variable._dtype), self.weight_decay)
                variable.assign(ops.subtract(variable.value, ops.multiply(variable.value, step)))

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Leave variables out of weight decay, given as such or by patterns of their paths."""
        self._undecayed |= set(var_list or ())
        self._undecayed_names += var_names or ()

    def _decays(self, variable: Variable) -> bool:
        named = any(re.search(pattern, variable.path) for pattern in self._undecayed_names)
        return not named and variable not in self._undecayed

    def _averaged(self) -> list[tuple[Variable, Variable]]:
        """Variables with their moving averages."""
        pairs = zip(self._trainable_variables, self._averages, strict=True)
        return [(variable, average) for variable, average in pairs if average is not None]

    def _average(self) -> None:
        momentum = self.ema_momentum
        first = ops.equal(self.iterations, 0)
        for variable, average in self._averaged():
            share = ops.where(first, 0.0, momentum)
            mixed = average.value * ops.cast(share, average._dtype) + variable.value * ops.cast(
                1 - share, average._dtype
            )
            average.assign(mixed)
        if self.ema_overwrite_frequency:
            due = ops.equal(ops.mod(ops.add(self.iterations, 1), self.ema_overwrite_frequency), 0)
            for variable, average in self._averaged():
                variable.assign(ops.where(due, average.value, variable.value))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """At the end of training, put the moving averages in place of the weights."""
        if self.use_ema:
            known = {id(variable): average for variable, average in self._averaged()}
            for variable in var_list:
                if id(variable) in known:
                    variable.assign(known[id(variable)].value)

    def scale_loss(self, loss: Any) -> Any:
        """The loss that gradients are taken of."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def stateless_apply(
        self,
        optimizer_variables: Sequence[Any],
        grads: Sequence[Any],
        trainable_variables: Sequence[Any],
    ) -> tuple[list[Any], list[Any]]:
        """`apply` as a pure function of values; the new values of variables and state."""
        if not self.built:
            raise ValueError(
                f"A stateless update needs the optimizer's state. Received: {self.name!r}, never "
                "built. Call `build(variables)` first."
            )
        with given_values(
            self.name,
            trainable_variables=(self._trainable_variables, trainable_variables),
            optimizer_variables=(self.variables, optimizer_variables),
        ) as scope:
            self.apply(grads)
        groups = (self._trainable_variables, self.variables)
        weights, state = ([scope.get_current_value(v) for v in group] for group in groups)
        return weights, state

    # ----------------------------------------------------------------- config

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the optimizer's state from arrays."""
        if len(weights) != len(self.variables):
            raise ValueError(
                f"The optimizer has {len(self.variables)} variables. Received: {len(weights)} arrays."
            )
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Put the state into a mapping, numbered."""
        for index, variable in enumerate(self.variables):
            store[str(index)] = np.asarray(variable)

    def load_own_variables(self, store: Any) -> None:
        """Take the state from a mapping, numbered; with a warning where it does not fit."""
        if len(store.keys()) != len(self.variables):
            warnings.warn(
                f"The optimizer {self.name!r} starts anew: it has {len(self.variables)} variables. "
                f"Received: {len(store.keys())} in the file.",
                stacklevel=2,
            )
            return
        take_all(self.variables, store)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as what a file can hold."""
        rate = self._learning_rate
        number = float(rate.numpy()) if isinstance(rate, Variable) else None
        rate = serialize_keras_object(rate) if number is None else number
        return {"learning_rate": rate, **super().get_config(), **self._groups.get_config(number)}


def only_if(condition: Any, update: Callable[[], None]) -> None:
    """Run an update of variables, and keep what it wrote where a scalar condition holds."""
    with StatelessScope() as scope:
        update()
    for variable, value in scope.updates():
        variable.assign(ops.where(condition, value, variable.value))


def clip_by_norm(gradient: Any, limit: float) -> Any:
    """A gradient scaled down to a norm."""
    squared = ops.sum(ops.square(gradient))
    norm = ops.sqrt(ops.where(squared > 0, squared, ops.ones_like(squared)))
    return gradient * limit / ops.maximum(ops.where(squared > 0, norm, squared), limit)


def global_norm(gradients: Sequence[Any]) -> Any:
    """The norm of all gradients as one vector."""
    total = ops.sum(ops.stack([ops.sum(ops.square(gradient)) for gradient in gradients]))
    return ops.sqrt(total)


def clip_by_global_norm(gradients: Sequence[Any], limit: float) -> list[Any]:
    """Gradients scaled down together to a norm."""
    norm = global_norm(gradients)
    scale = limit * ops.minimum(1.0 / ops.maximum(norm, 1e-30), 1.0 / limit)
    scale = ops.where(ops.isfinite(norm), scale, float("nan"))
    return [gradient * ops.cast(scale, gradient.dtype) for gradient in gradients]


def _with_options(own: Callable[..., None]) -> Callable[..., None]:
    """A constructor with `**options: Unpack[Options]`, which takes them by position too, where they stand in Keras:
    after its own arguments, but for those that it takes by name."""
    mine = [p for p in inspect.signature(own).parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = list(inspect.signature(Optimizer.__init__).parameters.values())[2:]
    options = [p for p in options if p.name not in {p.name for p in mine}]
    first = [p for p in mine if p.kind is not p.KEYWORD_ONLY]
    late = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in mine if p.kind is p.KEYWORD_ONLY]
    shared = [p for p in options if p.kind is p.POSITIONAL_OR_KEYWORD]
    parameters = [*first, *shared, *late, *options[len(shared) :]]
    count, by_position = len(first), [p.name for p in (*shared, *late)]

    @functools.wraps(own)
    def constructor(*args: Any, **kwargs: Any) -> None:
        own(*args[:count], **dict(zip(by_position, args[count:], strict=False)), **kwargs)

    constructor.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return constructor
