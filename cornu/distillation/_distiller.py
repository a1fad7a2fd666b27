"""Distiller: a student that is trained on targets and on what its teacher gives."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

from .. import ops
from ..core import tree
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..metrics import Mean
from ..models import Model


class Distiller(Model):
    """A model that trains a student to meet targets, and to give what a trained teacher gives.

    Its loss is `student_loss_weight` times the student's own, and 1 less that times the weighted sum of the losses
    of distillation. The logs have both as `student_loss` and `distillation_loss`. The teacher is frozen, and what
    is predicted is the student's.

    Args:
        teacher: The trained model.
        student: The model to train, `distiller.student` afterwards.
        distillation_losses: A loss of distillation, or a list of them.
        distillation_loss_weights: A weight for each; 1 where they are left out.
        student_loss_weight: The weight of the student's own loss, from 0 to 1.
        name: The model's name.
        **kwargs: More for `Model`.

    Raises:
        ValueError: If the models don't go together, or the weights don't fit.

    >>> import numpy as np
    >>> from cornu import Input, Sequential, distillation, layers, losses
    >>> teacher = Sequential([Input((4,)), layers.Dense(8, "relu"), layers.Dense(3)])
    >>> student = Sequential([Input((4,)), layers.Dense(3)])
    >>> distiller = Distiller(teacher, student, distillation.LogitsDistillation(temperature=2.0))
    >>> distiller.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)
    >>> sorted(history.history)
    ['distillation_loss', 'loss', 'student_loss', 'total_loss']
    """

    _describes_itself = True
    #: The models' calls that give what the losses compare.
    _teach: Any
    _learn: Any

    def __init__(
        self,
        teacher: Any,
        student: Any,
        distillation_losses: Any,
        distillation_loss_weights: Any = None,
        student_loss_weight: float = 0.5,
        name: str | None = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        _check_models(teacher, student)
        given = isinstance(distillation_losses, (list, tuple))
        found = list(distillation_losses) if given else [distillation_losses]
        self.distillation_losses = found
        self.distillation_loss_weights = list(distillation_loss_weights or [1.0] * len(found))
        self.student_loss_weight = student_loss_weight
        self._check_weights()
        for loss in found:
            loss.validate_model_compatibility(teacher, student)
        teacher.trainable = False
        self.teacher, self.student = teacher, student
        self._student_loss = Mean(name="student_loss")
        self._distillation_loss = Mean(name="distillation_loss")
        self._total_loss = Mean(name="total_loss")
        # Layers of the two models, which are their parts already.
        teaching = [getattr(loss, "teacher_layer_name", None) for loss in found]
        learning = [getattr(loss, "student_layer_name", None) for loss in found]
        vars(self).update(_teach=_reader(teacher, teaching), _learn=_reader(student, learning))
        if teacher.built and student.built:
            self.built = True

    def _check_weights(self) -> None:
        losses, weights = self.distillation_losses, self.distillation_loss_weights
        if len(weights) != len(losses):
            raise ValueError(
                "Each loss of distillation has a weight. Received: "
                f"distillation_loss_weights={weights!r}, {len(losses)} losses."
            )
        own = self.student_loss_weight
        if isinstance(own, bool) or not isinstance(own, (int, float)) or not 0 <= own <= 1:
            raise ValueError(
                f"`student_loss_weight` must be a number from 0 to 1. Received: student_loss_weight={own!r}."
            )

    def compile(  # type: ignore[override]
        self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Say how the student is trained.

        Args:
            optimizer: The optimizer, or its name.
            loss: The student's own loss.
            metrics: Metrics of what it predicts.
            **kwargs: More for `Model.compile`.

        Raises:
            ValueError: If there is no loss.
        """
        if loss is None:
            raise ValueError(
                "A student has a loss of its own. Received: loss=None. Give one, with "
                "`student_loss_weight=0` where it is not to count."
            )
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as a file says, if it names the student's loss: those of Keras don't."""
        if config.get("loss") is not None:
            super().compile_from_config(config)
            return
        warnings.warn(
            f"The file has no loss of the student's. Received: {self.name!r}. Call `compile(optimizer, loss)` "
            "before more training.",
            stacklevel=2,
        )

    def call(self, inputs: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """What the student gives."""
        learned = self._learn(inputs, training=training, **kwargs)
        if "_learned" in vars(self):
            vars(self)["_learned"] = learned
        return learned[0]

    def _predicted(self, x: Any, training: bool) -> Any:
        vars(self)["_learned"] = (
            None  # for `call` to fill in, and for the loss of this step to take
        )
        return super()._predicted(x, training)

    def predict_step(self, data: Any) -> Any:
        """What the student gives for a batch."""
        try:
            return super().predict_step(data)
        finally:
            vars(self).pop("_learned", None)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The weighted sum of the student's loss and those of distillation, a scalar."""
        learned = vars(self).pop("_learned", None)
        if learned is None or _tensors(learned[0]) != _tensors(y_pred):  # which another call gave
            learned = self._learn(x, training=training)
        own = super().compute_loss(x, y, y_pred, sample_weight, training)
        taught = tree.map_structure(ops.stop_gradient, self._teach(x, training=False))
        distilled: Any = 0.0
        for i, loss in enumerate(self.distillation_losses):
            loss.validate_outputs(taught[i + 1], learned[i + 1])
            weight = self.distillation_loss_weights[i]
            distilled = distilled + weight * loss.compute_loss(taught[i + 1], learned[i + 1])
        share = self.student_loss_weight
        total = share * own + (1 - share) * distilled
        for metric, value in (
            (self._student_loss, own),
            (self._distillation_loss, distilled),
            (self._total_loss, total),
        ):
            metric.update_state(value)
        return total

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, as what a file can hold."""
        own = ("teacher", "student", "distillation_losses")
        return {
            **super().get_config(),
            **{name: serialize_keras_object(getattr(self, name)) for name in own},
            "distillation_loss_weights": list(self.distillation_loss_weights),
            "student_loss_weight": self.student_loss_weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:  # type: ignore[override]
        """The model that `get_config` described."""
        return cls(**{name: deserialize_keras_object(value) for name, value in config.items()})


def _tensors(structure: Any) -> list[int]:
    """Which tensors, by identity, a structure has."""
    return [*map(id, tree.flatten(structure))]


def _check_models(teacher: Any, student: Any) -> None:
    for name, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, Model):
            raise ValueError(f"`{name}` must be a model. Received: {name}={model!r}.")
    for what in ("input", "output"):
        shapes = [_shapes(getattr(model, f"{what}s", None)) for model in (teacher, student)]
        if None not in shapes and shapes[0] != shapes[1]:
            told = [", ".join(map(str, shape)) for shape in shapes]  # type: ignore[arg-type]
            raise ValueError(
                f"A teacher and its student have {what}s of the same shapes. Received: {told[0]} of the "
                f"teacher, {told[1]} of the student."
            )


def _shapes(tensors: Any) -> list[Any] | None:
    return None if not tensors else [tuple(x.shape) for x in tensors]


def _reader(model: Any, names: list[str | None]) -> Any:
    """A call of a model that gives its outputs, and then what each of these layers gives, its outputs for None."""
    if not any(names):
        return partial(_repeated, model, 1 + len(names))
    layers = [model.get_layer(name).output if name else model.output for name in names]
    return Model(model.input, [model.output, *layers])


def _repeated(model: Any, times: int, inputs: Any, **kwargs: Any) -> list[Any]:
    return [model(inputs, **kwargs)] * times
