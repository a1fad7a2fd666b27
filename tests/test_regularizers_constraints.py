"""Regularizers and constraints: Keras's values, configs and errors."""

from __future__ import annotations

import json
import warnings
from typing import Any

import keras
import numpy as np
import pytest

from cornu import constraints, regularizers

MATRIX = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], "float32")
#: Keras divides the rows by the norms of the columns, so it is right where those are all the same.
CIRCULANT = np.array([[1.0, -2.0, 3.0], [3.0, 1.0, -2.0], [-2.0, 3.0, 1.0]], "float32")
PACKAGES = {"regularizers": regularizers, "constraints": constraints}

#: Package, name, arguments of the constructor.
ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("regularizers", "L1", {}),
    ("regularizers", "L1", {"l1": 0.3}),
    ("regularizers", "L1", {"l1": None}),
    ("regularizers", "L2", {}),
    ("regularizers", "L2", {"l2": 1}),
    ("regularizers", "L1L2", {}),
    ("regularizers", "L1L2", {"l1": 0.1}),
    ("regularizers", "L1L2", {"l2": 0.2}),
    ("regularizers", "L1L2", {"l1": 0.1, "l2": 0.2}),
    ("regularizers", "L1L2", {"l1": None, "l2": None}),
    ("regularizers", "OrthogonalRegularizer", {}),
    ("regularizers", "OrthogonalRegularizer", {"factor": 0.1, "mode": "columns"}),
    ("constraints", "MaxNorm", {}),
    ("constraints", "MaxNorm", {"max_value": 3, "axis": 1}),
    ("constraints", "MaxNorm", {"axis": [0, 1]}),
    ("constraints", "MaxNorm", {"max_value": -1}),
    ("constraints", "NonNeg", {}),
    ("constraints", "UnitNorm", {}),
    ("constraints", "UnitNorm", {"axis": [0, 1]}),
    ("constraints", "UnitNorm", {"axis": None}),
    ("constraints", "MinMaxNorm", {}),
    ("constraints", "MinMaxNorm", {"min_value": 1, "max_value": 2, "rate": 0.5, "axis": 1}),
    ("constraints", "MinMaxNorm", {"rate": 2}),
]


def both(package: str, name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    ours = getattr(PACKAGES[package], name)(**arguments)
    return ours, getattr(getattr(keras, package), name)(**arguments)


def row_name(value: Any) -> str:
    return value if isinstance(value, str) else "-".join(map(str, value))


@pytest.mark.parametrize("package, name, arguments", ROWS, ids=row_name)
def test_configs(package: str, name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = both(package, name, arguments)
    module = PACKAGES[package]
    written = module.serialize(ours)  # type: ignore[attr-defined]
    assert repr(written) == repr(getattr(keras, package).serialize(theirs))
    read = module.deserialize(json.loads(json.dumps(written)))  # type: ignore[attr-defined]
    assert type(read) is type(ours)
    assert read.get_config() == ours.get_config()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("package, name, arguments", ROWS, ids=row_name)
def test_values(package: str, name: str, arguments: dict[str, Any], dtype: str) -> None:
    x = CIRCULANT if arguments.get("mode") == "columns" else MATRIX
    x = np.asarray(keras.ops.cast(x, dtype))
    x.flags.writeable = False
    ours, theirs = both(package, name, arguments)
    with warnings.catch_warnings():
        # Keras asks JAX for a float64 identity.
        warnings.filterwarnings("ignore", "Explicitly requested dtype float64")
        theirs = theirs(x)
    ours = ours(x)
    assert ours.shape == theirs.shape
    assert ours.dtype == x.dtype
    tolerance = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[dtype]
    ours, theirs = (np.asarray(value, "float32") for value in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_orthogonal_columns() -> None:
    rows = regularizers.OrthogonalRegularizer(mode="rows")(MATRIX.T)
    columns = regularizers.OrthogonalRegularizer(mode="columns")(MATRIX)
    assert float(rows) == float(columns) > 0
    assert float(regularizers.OrthogonalRegularizer()(MATRIX[:1])) == 0


def test_a_zero_vector_stays() -> None:
    for name in ("MaxNorm", "UnitNorm", "MinMaxNorm"):
        assert not np.asarray(getattr(constraints, name)()(np.zeros((2, 2), "float32"))).any()


@pytest.mark.parametrize("package", PACKAGES)
def test_names(package: str) -> None:
    ours, theirs = PACKAGES[package], getattr(keras, package)
    for name, kind in getattr(keras.src, package).ALL_OBJECTS_DICT.items():
        assert type(ours.get(name)).__name__ == kind.__name__  # type: ignore[attr-defined]
    for name in dir(theirs):
        if not name.startswith("_"):
            assert getattr(ours, name).__name__ == getattr(theirs, name).__name__


@pytest.mark.parametrize("package", PACKAGES)
def test_identifiers(package: str) -> None:
    ours, theirs = PACKAGES[package], getattr(keras, package)
    for module in (ours, theirs):
        assert module.get(None) is None
        assert module.get(abs) is abs
        for wrong in ("unknown", 3, {"a": 1}):
            with pytest.raises(ValueError):
                module.get(wrong)
    kind = {"regularizers": "L2", "constraints": "MaxNorm"}[package]
    kind = getattr(ours, kind)
    assert type(ours.get(kind)) is kind  # type: ignore[attr-defined]
    instance = kind()
    assert ours.get(instance) is instance  # type: ignore[attr-defined]
    config = {"class_name": kind.__name__, "config": {}}
    assert type(ours.get(config)) is kind  # type: ignore[attr-defined]


WRONG = [
    ("regularizers.L1('a')", ValueError),
    ("regularizers.L1(-1)", ValueError),
    ("regularizers.L1(float('nan'))", ValueError),
    ("regularizers.L2(float('inf'))", ValueError),
    ("regularizers.L1L2(l2=-1)", ValueError),
    ("regularizers.L2(np.array(0.1))", ValueError),
    ("regularizers.OrthogonalRegularizer(None)", ValueError),
    ("regularizers.OrthogonalRegularizer(mode='x')", ValueError),
    ("regularizers.OrthogonalRegularizer()(np.ones(3))", ValueError),
    ("regularizers.Regularizer().get_config()", NotImplementedError),
    ("regularizers.L1(unknown=1)", TypeError),
    ("constraints.NonNeg(1)", TypeError),
]


@pytest.mark.parametrize("expression, error", WRONG, ids=lambda value: str(value))
def test_errors(expression: str, error: type[Exception]) -> None:
    for modules in (PACKAGES, {name: getattr(keras, name) for name in PACKAGES}):
        with pytest.raises(error):
            eval(expression, {**modules, "np": np})


def test_base_classes_do_nothing() -> None:
    assert regularizers.Regularizer()(MATRIX) == 0.0
    assert constraints.Constraint()(MATRIX) is MATRIX
    assert constraints.Constraint().get_config() == {}
