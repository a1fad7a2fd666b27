"""The optimizers: each says what it keeps for a variable, and one update rule.

In a rule g is the gradient, w the weight, rate the learning rate, t the number of the update.
"""

from __future__ import annotations

import re
from typing import Any, Unpack

import numpy as np

from .. import ops
from ..core.variable import Variable
from ..initializers import Constant
from ._optimizer import Optimizer, Options


class SGD(Optimizer):
    """Gradient descent, with momentum (Sutskever et al., 2013).

    Args:
        learning_rate: The step.
        momentum: The share of the last step that is taken again.
        nesterov: Whether the gradient is looked at after the momentum's step.

    >>> SGD(0.1).get_config()["momentum"]
    0.0
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if not isinstance(momentum, float) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a float in [0, 1]. Received: {momentum!r}.")

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """The last step, where there is momentum."""
        made = self.add_variable_from_reference(variable, "momentum") if self.momentum else None
        return {"last": made}

    def rule(self, g: Any, w: Any, rate: Any, last: Any = None) -> tuple[Any, ...]:
        """`w - rate g`, or the same with momentum."""
        step = -(g * rate)
        if last is None:
            return w + step, None
        moved = last * self.momentum + step
        return w + (moved * self.momentum + step if self.nesterov else moved), moved


class _OfMoments(Optimizer):
    """What goes by running means of gradients, and of their squares."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)

    def _moved(self, g: Any, momentum: Any, velocity: Any) -> tuple[Any, Any]:
        """The two means, one step on."""
        momentum = momentum + (g - momentum) * (1 - self.beta_1)
        return momentum, velocity + (ops.square(g) - velocity) * (1 - self.beta_2)


class Adam(_OfMoments):
    """Adam (Kingma and Ba, 2014); with `amsgrad`, Reddi et al., 2018.

    Args:
        learning_rate: The step.
        beta_1: The decay of the mean of gradients.
        beta_2: The decay of the mean of their squares.
        epsilon: Keeps the division finite.
        amsgrad: Whether the largest mean of squares so far is used.

    >>> Adam().get_config()["beta_2"]
    0.999
    """

    slots = ("momentum", "velocity")
    late_slots = ("largest",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """Means of gradients and squares, and the largest of the latter for amsgrad."""
        made = super().make_slots(variable)
        largest = (
            self.add_variable_from_reference(variable, "velocity_hat") if self.amsgrad else None
        )
        return {**made, "largest": largest}

    def rule(
        self,
        g: Any,
        w: Any,
        rate: Any,
        momentum: Any = None,
        velocity: Any = None,
        largest: Any = None,
    ) -> tuple[Any, ...]:
        """A step along the mean gradient, over the root of the mean square."""
        t = ops.cast(self.step, w.dtype)
        correction = ops.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        momentum, velocity = self._moved(g, momentum, velocity)
        if largest is not None:
            largest = ops.maximum(largest, velocity)
        spread = velocity if largest is None else largest
        step = momentum * (rate * correction) / (ops.sqrt(spread) + self.epsilon)
        return w - step, momentum, velocity, largest


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2017).

    Args:
        learning_rate: The step.
        weight_decay: The share of a weight taken off at each step, times the learning rate.
        beta_1, beta_2, epsilon, amsgrad: As in Adam.
    """

    def __init__(  # type: ignore[misc]  # the default of weight_decay differs
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        options["weight_decay"] = weight_decay
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, **options)
        if weight_decay is None:
            raise ValueError("AdamW needs a `weight_decay`. Received: weight_decay=None. Use Adam.")


class Nadam(_OfMoments):
    """Adam with Nesterov's momentum (Dozat, 2016).

    Args:
        learning_rate: The step.
        beta_1, beta_2, epsilon: As in Adam.
    """

    slots = ("momentum", "velocity")

    def build(self, variables: Any) -> None:
        """Also keep the product of the momenta so far."""
        super().build(variables)
        dtype = variables[0]._dtype if variables else "float32"
        self._product = self._own(Variable(np.ones(()), dtype=dtype, trainable=False))

    def _kept(self) -> dict[tuple[Any, Any], Variable]:
        return {**super()._kept(), ("product", None): self._product}

    def _momentum_at(self, t: Any) -> Any:
        return self.beta_1 * (1.0 - 0.5 * 0.96**t)

    def _update(self, pairs: Any) -> None:
        self._product.assign(self._product * self._momentum_at(self.step))
        super()._update(pairs)

    def rule(
        self, g: Any, w: Any, rate: Any, momentum: Any = None, velocity: Any = None
    ) -> tuple[Any, ...]:
        """As Adam's, looking one step ahead."""
        now, after = self._momentum_at(self.step), self._momentum_at(self.step + 1)
        product = self._product.value
        momentum, velocity = self._moved(g, momentum, velocity)
        ahead = momentum * ops.cast(after / (1 - product * after), w.dtype)
        ahead = ahead + g * ops.cast((1 - now) / (1 - product), w.dtype)
        spread = velocity / ops.cast(1 - self.beta_2**self.step, w.dtype)
        return w - ahead * rate / (ops.sqrt(spread) + self.epsilon), momentum, velocity


class ScheduleFreeAdamW(_OfMoments):
    """AdamW without a schedule of the rate (Defazio et al., 2024, https://arxiv.org/abs/2405.15682).

    Gradients move a sequence z; x is the mean of all z so far. The weights are between them:
    `y = (1 - beta_1) z + beta_1 x`.

    Args:
        learning_rate: The step.
        beta_1: The share of x in the weights.
        beta_2: The decay of the mean of squares.
        epsilon: Keeps the division finite.
        warmup_steps: Over how many steps the learning rate grows to its value.

    >>> ScheduleFreeAdamW(warmup_steps=10).get_config()["beta_1"]
    0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        if not 0 < beta_1 <= 1:
            raise ValueError(
                f"`beta_1` lies in (0, 1]: it is the share of a mean. Received: beta_1={beta_1!r}."
            )

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """The sequence z, which starts at the weight, and the mean of squares."""
        add, start = self.add_variable_from_reference, lambda *_, **__: variable.numpy()
        return {"z": add(variable, "momentum", start), "velocity": add(variable, "velocity")}

    def rule(
        self, g: Any, w: Any, rate: Any, z: Any = None, velocity: Any = None
    ) -> tuple[Any, ...]:
        """A step of z along the gradient, over the root of the mean square; then of the mean."""
        t = ops.cast(self.step, w.dtype)
        if self.warmup_steps:
            rate = rate * ops.minimum(t / self.warmup_steps, 1.0)
        velocity = velocity + (ops.square(g) - velocity) * (1 - self.beta_2)
        mean = (w - (1 - self.beta_1) * z) / self.beta_1
        z = z - rate * g / (ops.sqrt(velocity / (1 - self.beta_2**t)) + self.epsilon)
        mean = mean + (z - mean) / t
        return (1 - self.beta_1) * z + self.beta_1 * mean, z, velocity


class Adamax(_OfMoments):
    """Adam with the largest gradient instead of the mean square (Kingma and Ba, 2014).

    Args:
        learning_rate: The step.
        beta_1, beta_2, epsilon: As in Adam.
    """

    slots = ("momentum", "norm")

    def rule(
        self, g: Any, w: Any, rate: Any, momentum: Any = None, norm: Any = None
    ) -> tuple[Any, ...]:
        """A step along the mean gradient, over the largest decayed one."""
        momentum = momentum + (g - momentum) * (1 - self.beta_1)
        norm = ops.maximum(norm * self.beta_2, ops.abs(g))
        correction = ops.cast(1 - self.beta_1**self.step, w.dtype)
        return w - rate * momentum / (correction * (norm + self.epsilon)), momentum, norm


class RMSprop(Optimizer):
    """Gradients over the root of their mean square (Hinton, 2012).

    Args:
        learning_rate: The step.
        rho: The decay of the mean of squares.
        momentum: The share of the last step that is taken again.
        epsilon: Keeps the division finite.
        centered: Whether the mean gradient is taken off, so that it is a variance.
    """

    late_slots = ("last", "average")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """The mean of squares; the last step and the mean gradient where they are used."""
        add = self.add_variable_from_reference
        return {
            "velocity": add(variable, "velocity"),
            "last": add(variable, "momentum") if self.momentum > 0 else None,
            "average": add(variable, "average_gradient") if self.centered else None,
        }

    def rule(
        self, g: Any, w: Any, rate: Any, velocity: Any = None, last: Any = None, average: Any = None
    ) -> tuple[Any, ...]:
        """`w - rate g / sqrt(mean square)`."""
        velocity = velocity * self.rho + ops.square(g) * (1 - self.rho)
        spread = velocity + self.epsilon
        if average is not None:
            average = average * self.rho + g * (1 - self.rho)
            spread = spread - ops.square(average)
        step = g * rate / ops.sqrt(spread)
        if last is not None:
            last = step = last * self.momentum + step
        return w - step, velocity, last, average


class Adagrad(Optimizer):
    """Gradients over the root of the sum of all their squares (Duchi et al., 2011).

    Args:
        learning_rate: The step.
        initial_accumulator_value: Where the sums start.
        epsilon: Keeps the division finite.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """The sum of squares."""
        start = Constant(self.initial_accumulator_value)
        return {"total": self.add_variable_from_reference(variable, "accumulator", start)}

    def rule(self, g: Any, w: Any, rate: Any, total: Any = None) -> tuple[Any, ...]:
        """`w - rate g / sqrt(sum of squares)`."""
        total = total + ops.square(g)
        return w - g * rate / ops.sqrt(total + self.epsilon), total


class Adadelta(Optimizer):
    """Steps in the unit of the weights, from past steps and gradients (Zeiler, 2012).

    Args:
        learning_rate: The share of the step that is taken.
        rho: The decay of the means of squares.
        epsilon: Keeps the division finite.
    """

    slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)

    def rule(
        self,
        g: Any,
        w: Any,
        rate: Any,
        accumulated_grad: Any = None,
        accumulated_delta_var: Any = None,
    ) -> tuple[Any, ...]:
        """`w - rate g rms(steps) / rms(gradients)`."""
        gradients = accumulated_grad * self.rho + ops.square(g) * (1 - self.rho)
        steps = accumulated_delta_var
        step = g * ops.sqrt(steps + self.epsilon) / ops.sqrt(gradients + self.epsilon)
        steps = steps * self.rho + ops.square(step) * (1 - self.rho)
        return w - rate * step, gradients, steps


class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al., 2013).

    Args:
        learning_rate: The step.
        learning_rate_power: The power of the sum of squares, at most 0.
        initial_accumulator_value: Where the sums start.
        l1_regularization_strength, l2_regularization_strength: Penalties.
        l2_shrinkage_regularization_strength: A penalty on the gradient.
        beta: An addition to the root of the sum.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if initial_accumulator_value < 0 or learning_rate_power > 0:
            raise ValueError(
                "`initial_accumulator_value` must not be negative, `learning_rate_power` not "
                f"positive. Received: {initial_accumulator_value}, {learning_rate_power}."
            )
        for kind in ("l1", "l2", "l2_shrinkage"):
            strength = getattr(self, f"{kind}_regularization_strength")
            if strength < 0:
                raise ValueError(
                    "A strength of regularization must not be negative. "
                    f"Received: {kind}_regularization_strength={strength}."
                )

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """The sum of squares and the linear term."""
        add = self.add_variable_from_reference
        start = Constant(self.initial_accumulator_value)
        return {"total": add(variable, "accumulator", start), "linear": add(variable, "linear")}

    def rule(
        self, g: Any, w: Any, rate: Any, total: Any = None, linear: Any = None
    ) -> tuple[Any, ...]:
        """The weight that minimizes the linear term, the penalties and the distance so far."""
        shrunk = g + 2 * self.l2_shrinkage_regularization_strength * w
        new_total = total + ops.square(g)
        power = -self.learning_rate_power
        new_root, root = new_total**power, total**power
        linear = linear + shrunk - (new_root - root) / rate * w
        l2 = self.l2_regularization_strength + self.beta / (2 * rate)
        quadratic = new_root / rate + 2 * l2
        l1 = self.l1_regularization_strength
        return (ops.clip(linear, -l1, l1) - linear) / quadratic, new_total, linear


class Lion(Optimizer):
    """Steps of one size along the sign of the momentum (Chen et al., 2023).

    Args:
        learning_rate: The step.
        beta_1: The share of the momentum in a step.
        beta_2: The decay of the momentum.
    """

    slots = ("momentum",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if not 0 < beta_1 <= 1:
            raise ValueError(f"`beta_1` must lie in (0, 1]. Received: beta_1={beta_1}.")

    def rule(self, g: Any, w: Any, rate: Any, momentum: Any = None) -> tuple[Any, ...]:
        """`w - rate sign(mixed gradient)`."""
        mixed = momentum * self.beta_1 + g * (1 - self.beta_1)
        return w - rate * ops.sign(mixed), momentum * self.beta_2 + g * (1 - self.beta_2)


class Lamb(_OfMoments):
    """Adam's step scaled to the weight's norm, for large batches (You et al., 2019).

    Args:
        learning_rate: The step.
        beta_1, beta_2, epsilon: As in Adam.
    """

    slots = ("momentum", "velocity")
    elementwise = False

    def rule(
        self, g: Any, w: Any, rate: Any, momentum: Any = None, velocity: Any = None
    ) -> tuple[Any, ...]:
        """Adam's direction, at the length of the weight."""
        t = ops.cast(self.step, w.dtype)
        momentum, velocity = self._moved(g, momentum, velocity)
        direction = (momentum / (1 - self.beta_1**t)) / (
            ops.sqrt(velocity / (1 - self.beta_2**t)) + self.epsilon
        )
        weight_norm = ops.sqrt(ops.sum(ops.square(w)))
        step_norm = ops.sqrt(ops.sum(ops.square(direction)))
        one = ops.ones_like(weight_norm)
        safe = ops.where(step_norm > 0, step_norm, one)
        trust = ops.where(ops.logical_and(weight_norm > 0, step_norm > 0), weight_norm / safe, one)
        return w - trust * direction * rate, momentum, velocity


class Adafactor(Optimizer):
    """Adam's squares kept as sums of rows and columns (Shazeer and Stern, 2018).

    Args:
        learning_rate: The step.
        beta_2_decay: The power at which the decay of squares comes to 1.
        epsilon_1: Keeps squares positive.
        epsilon_2: The smallest scale of a weight.
        clip_threshold: The largest root mean square of a step.
        relative_step: Whether the learning rate falls as 1 / sqrt(t).
    """

    elementwise = False

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """Means over columns and rows, and the squares where a weight has one axis only."""
        shape = variable.shape
        name = variable.name
        if len(shape) >= 2:
            rows = self.add_variable(shape[:-1], dtype=variable._dtype, name=name)
            columns = self.add_variable((*shape[:-2], shape[-1]), dtype=variable._dtype, name=name)
        else:
            # Places kept free, so that files of Keras have the same numbering.
            rows, columns = (
                self._own(Variable(np.zeros((), "int32"), trainable=False, name=name))
                for _ in range(2)
            )
        velocity = self.add_variable_from_reference(variable, "velocity")
        return {"rows": rows, "columns": columns, "velocity": velocity}

    def rule(
        self, g: Any, w: Any, rate: Any, rows: Any = None, columns: Any = None, velocity: Any = None
    ) -> tuple[Any, ...]:
        """A step over the root of the factored mean square, at most of the weight's scale."""
        t = ops.cast(self.step, w.dtype)
        if self.relative_step:
            rate = ops.minimum(rate, 1 / ops.sqrt(t))
        scale = ops.maximum(self.epsilon_2, _root_mean_square(w)) * ops.minimum(
            rate, 1 / ops.sqrt(t)
        )
        square = ops.square(g) + self.epsilon_1
        decay = 1 - t**self.beta_2_decay
        if len(w.shape) >= 2:
            rows = rows * decay + ops.mean(square, axis=-1) * (1 - decay)
            columns = columns * decay + ops.mean(square, axis=-2) * (1 - decay)
            mean = ops.mean(rows, axis=-1, keepdims=True)
            velocity = ops.expand_dims(rows / mean, -1) * ops.expand_dims(columns, -2)
        else:
            velocity = velocity * decay + square * (1 - decay)
        step = g / ops.sqrt(velocity)
        step = step / ops.maximum(1.0, _root_mean_square(step) / self.clip_threshold)
        return w - scale * step, rows, columns, velocity


def _root_mean_square(x: Any) -> Any:
    return ops.sqrt(ops.mean(ops.square(x)))


class Muon(Optimizer):
    """Momentum made orthogonal for matrices, Adam for the rest (Jordan, 2024; Liu et al., 2025).

    Args:
        learning_rate: The step.
        adam_beta_1, adam_beta_2, adam_weight_decay: Adam's, for what is not a matrix.
        epsilon: Keeps divisions finite.
        weight_decay: The decay of matrices.
        exclude_layers: Patterns of paths of variables that Adam takes.
        exclude_embeddings: Whether Adam takes embeddings.
        muon_a, muon_b, muon_c: Coefficients of the Newton-Schulz iteration.
        adam_lr_ratio: The learning rate of Adam's part, as a multiple.
        momentum: The decay of the momentum.
        ns_steps: The number of iterations.
        nesterov: Whether the gradient is looked at after the momentum's step.
        rms_rate: The root mean square of a step.
    """

    elementwise = False

    def __init__(  # type: ignore[misc]  # the default of weight_decay differs
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float = 0.004,
        *,
        exclude_layers: Any = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float = 0.2,
        **options: Unpack[Options],
    ) -> None:
        options["weight_decay"] = weight_decay
        super().__init__(learning_rate, **options)
        self.exclude_layers = list(exclude_layers or [])

    def _takes_adam(self, variable: Variable) -> bool:
        if len(variable.shape) != 2:
            return True
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def make_slots(self, variable: Variable) -> dict[str, Variable | None]:
        """The momentum, and Adam's mean of squares where Adam is used."""
        add = self.add_variable_from_reference
        momentum = add(variable, "momentum")
        velocity = add(variable, "velocity") if self._takes_adam(variable) else None
        return {"moved": momentum, "velocity": velocity}

    def _decay(self, variables: Any, rate: Any) -> None:
        for variable in variables:
            decay = self.adam_weight_decay if self._takes_adam(variable) else self.weight_decay
            if decay and self._decays(variable):
                step = ops.multiply(ops.cast(rate, variable._dtype), decay)
                variable.assign(variable.value - variable.value * step)

    def rule(
        self, g: Any, w: Any, rate: Any, moved: Any = None, velocity: Any = None
    ) -> tuple[Any, ...]:
        """Adam's step, or an orthogonal one."""
        if velocity is not None:
            t = ops.cast(self.step, w.dtype)
            correction = ops.sqrt(1 - self.adam_beta_2**t) / (1 - self.adam_beta_1**t)
            moved = moved + (g - moved) * (1 - self.adam_beta_1)
            velocity = velocity + (ops.square(g) - velocity) * (1 - self.adam_beta_2)
            rate = rate * self.adam_lr_ratio
            return (
                w - moved * rate * correction / (ops.sqrt(velocity) + self.epsilon),
                moved,
                velocity,
            )
        moved = g + moved * self.momentum
        direction = g + moved * self.momentum if self.nesterov else moved
        step = self._orthogonal(direction) * max(w.shape) ** 0.5 * self.rms_rate
        return w - rate * step, moved, None

    def _orthogonal(self, x: Any) -> Any:
        """The nearest orthogonal matrix, by Newton-Schulz iterations."""
        tall = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if tall else x
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + self.epsilon)
        for _ in range(self.ns_steps):
            gram = ops.matmul(x, ops.transpose(x))
            mix = self.muon_b * gram + self.muon_c * ops.matmul(gram, gram)
            x = self.muon_a * x + ops.matmul(mix, x)
        return ops.transpose(x) if tall else x
