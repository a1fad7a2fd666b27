"""Rows of the op table: `cornu.ops.linalg`."""

from __future__ import annotations

import numpy as np
from rows import A, Row

_DRAWN = np.random.default_rng(7).normal(size=(3, 4, 4))
#: Well-conditioned matrices, positive definite ones, and a lower triangular factor.
SQUARE = A.of(_DRAWN + 4 * np.eye(4))
ONE_SQUARE = A.of(SQUARE.values[0])
DEFINITE = A.of(_DRAWN @ _DRAWN.transpose(0, 2, 1) + 4 * np.eye(4))
ONE_DEFINITE = A.of(DEFINITE.values[0])
LOWER = A.of(np.linalg.cholesky(DEFINITE.values[0]))
UPPER = A.of(LOWER.values.T)
TALL, WIDE = A(2, 5, 3), A(2, 3, 5)
#: A matrix whose columns depend on each other.
FLAT = A.of([[1, 2, 3], [2, 4, 6], [1, 0, 1], [0, 2, 2]])
#: Signs and phases of the factors are free: no gradient to compare, and the values only where
#: engines use the same library.
FREE = {"gradient": False, "tolerance": 1e-4}
#: `tests/engines/test_contract.py` multiplies the factors back on every engine.
_REASON = "the signs of singular and eigenvectors are free"
SIGNED = {**FREE, "excluded": dict.fromkeys(("torch value", "tensorflow value"), _REASON)}
LOOSE = {"tolerance": 1e-4}

FACTORS = [
    # Which half of a symmetric matrix is read is free.
    Row("linalg.cholesky", (DEFINITE,), **FREE),
    Row("linalg.cholesky", (ONE_DEFINITE,), {"upper": True}, **FREE),
    Row("linalg.cholesky_inverse", (LOWER,), **LOOSE),
    Row("linalg.cholesky_inverse", (UPPER,), {"upper": True}, **LOOSE),
    Row("linalg.lu_factor", (SQUARE,), **FREE),
    Row("linalg.lu_factor", (TALL,), **FREE),
    Row("linalg.qr", (TALL,), **FREE),
    Row("linalg.qr", (WIDE,), {"mode": "complete"}, **FREE),
    Row("linalg.qr", (TALL,), {"mode": "complete"}, **FREE),
    Row("linalg.svd", (TALL,), **SIGNED),
    Row("linalg.svd", (WIDE,), {"full_matrices": False}, **SIGNED),
    Row("linalg.svd", (TALL,), {"compute_uv": False}, **LOOSE),
    Row("linalg.eigh", (DEFINITE,), **SIGNED),
    Row("linalg.eig", (A.of([[2, 1], [1, 3]]),), **FREE),
]

SOLUTIONS = [
    Row("linalg.det", (SQUARE,), tolerance=1e-4),
    Row("linalg.det", (A.of(np.eye(3)[[1, 2, 0]]),)),
    Row("linalg.det", (A.of(np.eye(3)[[1, 0, 2]]),)),
    Row("linalg.inv", (SQUARE,), **LOOSE),
    Row("linalg.inv", (A.of(np.diag([1, 2, 4]), dtype="int32"),), gradient=False),
    Row("linalg.solve", (SQUARE, A(3, 4, 2)), **LOOSE),
    Row("linalg.solve", (ONE_SQUARE, A(4)), **LOOSE),
    Row(
        "linalg.solve",
        (SQUARE, A(3, 4)),
        reference=lambda a, b: np.linalg.solve(a, b[..., None])[..., 0],
        excluded={"dtypes": "Keras on JAX takes no stack of vectors"},
        **LOOSE,
    ),
    Row("linalg.solve_triangular", (LOWER, A(4, 2)), {"lower": True}, **LOOSE),
    Row("linalg.solve_triangular", (DEFINITE, A(3, 4, 2)), **LOOSE),
    Row("linalg.solve_triangular", (UPPER, A(4)), **LOOSE),
    Row("linalg.lstsq", (A(5, 3), A(5)), **LOOSE),
    Row("linalg.lstsq", (A(5, 3), A(5, 2)), **LOOSE),
    Row("linalg.lstsq", (A(3, 5), A(3, 2)), **FREE),
    Row("linalg.lstsq", (FLAT, A(4)), **FREE),
    Row("linalg.pinv", (TALL,), **LOOSE),
    Row("linalg.pinv", (WIDE,), **LOOSE),
    Row("linalg.pinv", (FLAT,), {"rcond": 0.5}, **FREE),
    Row("linalg.matrix_rank", (TALL,), gradient=False),
    Row("linalg.matrix_rank", (FLAT,), gradient=False),
    Row("linalg.matrix_rank", (TALL,), {"tol": 2.0}, gradient=False),
]

VECTOR_ORDERS = (None, 2, 1, 0, -1, 3, 2.5, np.inf, -np.inf)
MATRIX_ORDERS = (None, 1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc")

NORMS = [
    Row("linalg.norm", (TALL,)),
    *(Row("linalg.norm", (A(3, 5, low=0.5),), {"ord": ord, "axis": 1}) for ord in VECTOR_ORDERS),
    *(
        Row("linalg.norm", (TALL,), {"ord": ord, "axis": (1, 2)}, tolerance=1e-4)
        for ord in MATRIX_ORDERS
    ),
    Row("linalg.norm", (TALL,), {"ord": 2, "axis": (2, 0), "keepdims": True}, tolerance=1e-4),
    Row("linalg.norm", (TALL,), {"ord": 1, "axis": (-1, 0), "keepdims": True}),
    Row("linalg.norm", (A(6),), {"ord": np.inf, "keepdims": True}),
    Row("linalg.norm", (A(3, 4),), {"ord": 1}),
    Row("linalg.norm", (A(6, dtype="int32", low=-5, high=5),)),
    Row("linalg.norm", (A(6),), dtypes=("float16", "bfloat16")),
]

ROWS = [*FACTORS, *SOLUTIONS, *NORMS]
