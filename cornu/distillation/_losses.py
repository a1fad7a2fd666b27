"""Losses of distillation: how far a student is from its teacher."""

from __future__ import annotations

from typing import Any

from .. import losses, ops
from ..core import tree
from ..core.described import Described


class DistillationLoss(Described):
    """How far what a student gives is from what its teacher gives.

    A subclass of your own defines `compute_loss(teacher_outputs, student_outputs, **kwargs)`, and may check
    outputs and models.
    """

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """The loss of a batch, a scalar; a subclass defines it."""
        raise NotImplementedError(
            "A loss of distillation must have a method `compute_loss`. Received: "
            f"{type(self).__name__}, which has none. Define `compute_loss(self, teacher_outputs, "
            "student_outputs, **kwargs)`."
        )

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Check that outputs can be compared.

        Raises:
            ValueError: If their structures differ.
        """
        tree.assert_same_structure(teacher_outputs, student_outputs)

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Check that models can be compared, when a `Distiller` is made of them."""


class _Comparing(DistillationLoss):
    """One that has a loss for each output."""

    _converters = {"loss": lambda loss: tree.map_structure(losses.get, loss)}

    def __init__(self, loss: Any) -> None:
        super().__init__()
        if all(one is None for one in tree.flatten(self.loss)):
            raise ValueError(
                "There must be a loss for an output at least. Received: "
                f"loss={loss!r}. Name one, such as 'mse'."
            )

    def _total(self, teacher_outputs: Any, student_outputs: Any) -> Any:
        """The sum of the outputs' losses, each a mean; an output whose loss is None counts for nothing."""
        tree.assert_same_structure(self.loss, teacher_outputs)
        total: Any = 0.0
        for loss, wanted, given in zip(
            *map(tree.flatten, (self.loss, teacher_outputs, student_outputs)), strict=True
        ):
            if loss is not None:
                total = total + ops.mean(self._compared(loss, wanted, given))
        return total

    def _compared(self, loss: Any, wanted: Any, given: Any) -> Any:
        return loss(wanted, given)


class LogitsDistillation(_Comparing):
    """The difference of logits that are softened by a temperature T: loss(teacher / T, student / T).

    The divergence of Kullback and Leibler compares distributions: T^2 KL(softmax(teacher / T), softmax(student / T)),
    whose gradients have one size at all temperatures. Source: Hinton, Vinyals and Dean (2015), "Distilling the
    Knowledge in a Neural Network".

    Args:
        temperature: What logits are divided by, above 0: the larger, the more the small ones count.
        loss: A loss or its name, or a structure of them in that of the outputs; None leaves an output out.

    Raises:
        ValueError: If the temperature is not above 0, or there is no loss.

    >>> loss = LogitsDistillation(temperature=2.0, loss="mse")
    >>> float(loss.compute_loss(ops.ones((2, 3)), ops.zeros((2, 3))))
    0.25
    """

    def __init__(self, temperature: float = 3.0, loss: Any = "kl_divergence") -> None:
        super().__init__(loss)
        if not isinstance(temperature, (int, float)) or not temperature > 0:
            raise ValueError(
                f"`temperature` must be a number above 0. Received: temperature={temperature!r}."
            )

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """The loss of logits (batch, ..., classes), a scalar."""
        return self._total(teacher_outputs, student_outputs)

    def _compared(self, loss: Any, wanted: Any, given: Any) -> Any:
        wanted, given = wanted / self.temperature, given / self.temperature
        if loss is losses.kl_divergence or isinstance(loss, losses.KLDivergence):
            return self.temperature**2 * loss(ops.softmax(wanted), ops.softmax(given))
        return loss(wanted, given)


class FeatureDistillation(_Comparing):
    """The difference of what layers within the models give.

    Source: Romero et al. (2015), "FitNets: Hints for Thin Deep Nets".

    Args:
        loss: A loss or its name, or a structure of them in that of the features; None leaves one out.
        teacher_layer_name: The layer of the teacher; its output where it is left out.
        student_layer_name: The layer of the student; its output where it is left out.

    Raises:
        ValueError: If there is no loss.

    >>> float(FeatureDistillation().compute_loss(ops.ones((2, 3)), ops.zeros((2, 3))))
    1.0
    """

    def __init__(
        self,
        loss: Any = "mse",
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ) -> None:
        super().__init__(loss)

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Check that the models have the layers.

        Raises:
            ValueError: If a model has no layer of that name, or was not made from `Input`s.
        """
        for model, name in ((teacher, self.teacher_layer_name), (student, self.student_layer_name)):
            if name is not None and not getattr(model, "inputs", None):
                raise ValueError(
                    "What a layer gives is read off a model that was made from `Input`s. Received: "
                    f"{model!r}, of which the layer {name!r} is asked for. Leave out the name, which compares "
                    "the models' outputs."
                )
            if name is not None:
                model.get_layer(name)

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """The loss of features (batch, ...), a scalar."""
        return self._total(teacher_outputs, student_outputs)
