"""Distillation: a student learns from targets and from its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import distillation, layers

TEACHER, STUDENT = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
X = np.random.default_rng(1).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


def models(library: Any, units: int = 8, outputs: int = 3) -> tuple[Any, Any]:
    """A teacher and a student, of the same weights in both libraries."""
    made = []
    for seed, name in enumerate(("teacher", "student")):
        x = library.Input((4,), name=f"{name}_x")
        hidden = library.layers.Dense(units, "relu", name=f"{name}_hidden")(x)
        model = library.Model(
            x, library.layers.Dense(outputs, name=f"{name}_out")(hidden), name=name
        )
        drawn = np.random.default_rng(seed)
        model.set_weights([drawn.normal(size=w.shape) for w in model.get_weights()])
        made.append(model)
    return made[0], made[1]


def distiller(library: Any, losses: Any, **kwargs: Any) -> Any:
    model = library.distillation.Distiller(*models(library), losses(library.distillation), **kwargs)
    own = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.SGD(0.1), own, metrics=["accuracy"])
    return model


LOSSES: list[tuple[str, dict[str, Any]]] = [
    ("LogitsDistillation", {"loss": "mse"}),
    ("LogitsDistillation", {"loss": "mae", "temperature": 2}),
    ("LogitsDistillation", {"loss": ["mse", None], "temperature": 1.5}),
    ("FeatureDistillation", {}),
    ("FeatureDistillation", {"loss": "cosine_similarity", "teacher_layer_name": "a"}),
    ("FeatureDistillation", {"loss": {"a": "mse", "b": "mae"}}),
]


@pytest.mark.parametrize(("name", "arguments"), LOSSES)
def test_losses(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = (getattr(m.distillation, name)(**arguments) for m in (cornu, keras))
    shape = arguments.get("loss", "")
    given = [
        [x, x] if isinstance(shape, list) else {"a": x, "b": x} if isinstance(shape, dict) else x
        for x in (TEACHER, STUDENT)
    ]
    wanted = float(theirs.compute_loss(*given))
    assert float(ours.compute_loss(*given)) == pytest.approx(wanted, rel=1e-5)
    assert ours.get_config() == theirs.get_config()
    again = getattr(distillation, name).from_config(theirs.get_config())
    assert float(again.compute_loss(*given)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distributions_are_compared_by_their_divergence(temperature: float) -> None:
    """T^2 KL(softmax(teacher / T), softmax(student / T)), by NumPy."""
    p, q = (np.exp(x / temperature) for x in (TEACHER, STUDENT))
    p, q = (x / x.sum(-1, keepdims=True) for x in (p, q))
    wanted = temperature**2 * np.mean(np.sum(p * np.log(p / q), axis=-1))
    for loss in ("kl_divergence", cornu.losses.KLDivergence()):
        found = distillation.LogitsDistillation(temperature, loss).compute_loss(TEACHER, STUDENT)
        assert float(found) == pytest.approx(wanted, rel=1e-5)


TRAININGS: list[tuple[Any, dict[str, Any]]] = [
    (lambda d: d.LogitsDistillation(loss="mse"), {}),
    (
        lambda d: [
            d.LogitsDistillation(loss="mse"),
            d.FeatureDistillation("mse", "teacher_hidden", "student_hidden"),
        ],
        {"distillation_loss_weights": [2.0, 0.5], "student_loss_weight": 0.25},
    ),
]


@pytest.mark.parametrize(("engine", "row"), [("jax", 0), ("jax", 1), ("torch", 1), ("numpy", 1)])
def test_training_is_that_of_keras(engine: str, row: int) -> None:
    """Metrics by epoch, and the weights of the student; the teacher's stay."""
    losses, arguments = TRAININGS[row]
    found = []
    for library in (keras, cornu):
        model = distiller(library, losses, **arguments)
        model = model if library is keras else model.to(engine)
        logs = model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        logs |= model.evaluate(X, Y, verbose=0, return_dict=True)
        found.append((logs, model.student.get_weights(), model.predict(X, verbose=0)))
        assert not model.teacher.trainable and len(model.trainable_variables) == 4
    (theirs, *wanted), (ours, *given) = found
    assert set(ours) == set(theirs)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], 1e-5, 1e-6, err_msg=name)
    for one, two in zip(cornu.tree.flatten(given), cornu.tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(one, two, 1e-4, 1e-6)


@pytest.mark.filterwarnings("ignore:.*compile.*")
@pytest.mark.parametrize("writer", ["cornu", "keras"])
def test_files(writer: str, tmp_path: Path) -> None:
    library, other = (cornu, keras) if writer == "cornu" else (keras, cornu)
    model = distiller(library, TRAININGS[1][0])
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    read = other.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(read.predict(X, verbose=0), model.predict(X, verbose=0), 1e-5, 1e-6)
    assert read.student_loss_weight == 0.5 and len(read.distillation_losses) == 2
    if writer == "cornu":
        again = cornu.saving.load_model(tmp_path / "model.keras")
        wanted = model.evaluate(X, Y, verbose=0)
        np.testing.assert_allclose(again.evaluate(X, Y, verbose=0), wanted, 1e-5)


def test_a_loss_is_of_its_own_call() -> None:
    """Whatever the model was called on before."""
    model = distiller(cornu, TRAININGS[0][0])
    wanted = float(model.compute_loss(X, Y, model.student(X)))
    model.predict(X, verbose=0)
    assert float(model.compute_loss(X, Y, model.student(X))) == pytest.approx(wanted)
    model(100 * X)
    assert "_learned" not in vars(model)  # no tensor is kept for longer than a step
    assert float(model.compute_loss(X, Y, model.student(X))) == pytest.approx(wanted)


def test_models_of_other_kinds() -> None:
    """Subclasses, built by their first batch, with dictionaries of outputs."""

    class Net(cornu.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = layers.Dense(2), layers.Dense(3)

        def call(self, x: Any) -> Any:
            return {"a": self.a(x), "b": self.b(x)}

    loss = distillation.LogitsDistillation(loss={"a": "mse", "b": None})
    model = distillation.Distiller(Net(), Net(), loss, student_loss_weight=0.0)
    model.compile("sgd", {"a": "mse", "b": "mse"})
    logs = model.fit(X, {"a": X[:, :2], "b": X[:, :3]}, verbose=0).history
    assert logs["loss"][0] == pytest.approx(logs["distillation_loss"][0], rel=1e-5)
    assert not model.teacher.trainable_variables


def refused() -> list[tuple[Any, str]]:
    teacher, student = models(cornu)
    make, logits = distillation.Distiller, distillation.LogitsDistillation
    feature, narrow = distillation.FeatureDistillation, models(cornu, outputs=2)[1]

    class Net(cornu.Model):
        def call(self, x: Any) -> Any:
            return x

    return [
        (
            lambda: logits(temperature=0),
            r"`temperature` must be a number above 0. Received: temperature=0",
        ),
        (lambda: logits(temperature="hot"), "`temperature` must be a number above 0"),
        (lambda: logits(loss=[None, None]), "There must be a loss for an output at least"),
        (lambda: feature(loss="nothing"), "nothing"),
        (lambda: make(teacher, 3, logits()), "`student` must be a model. Received: student=3"),
        (
            lambda: make(teacher, narrow, logits()),
            r"\(None, 3\) of the teacher, \(None, 2\) of the student",
        ),
        (
            lambda: make(teacher, student, logits(), [1.0, 2.0]),
            "Each loss of distillation has a weight",
        ),
        (
            lambda: make(teacher, student, logits(), student_loss_weight=2),
            "must be a number from 0 to 1",
        ),
        (lambda: make(teacher, student, feature("mse", "no")), "has no layer of that name"),
        (lambda: make(teacher, Net(), feature("mse", None, "a")), "made from `Input`s"),
        (
            lambda: make(teacher, student, logits()).compile("sgd"),
            "A student has a loss of its own",
        ),
    ]


@pytest.mark.parametrize("number", range(11))
def test_what_is_refused(number: int) -> None:
    make, message = refused()[number]
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(NotImplementedError, match="must have a method `compute_loss`"):
        distillation.DistillationLoss().compute_loss(TEACHER, STUDENT)
