"""The engine of SavedModels: TensorFlow has nearly every primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from .. import host
from ..contract import Tensor
from ..graphs.graph import pairs
from ..spec import Spec
from .engine import TensorFlowEngine
from .operations import Dtype

_UNARY = pairs("erfinv:Erfinv lgamma:Lgamma i0:BesselI0 erfc:Erfc softsign:Softsign")
_BINARY = pairs(
    "bitwise_and:BitwiseAnd bitwise_or:BitwiseOr bitwise_xor:BitwiseXor left_shift:LeftShift "
    "right_shift:RightShift fmod:TruncateMod nextafter:NextAfter"
)


def _unary(kind: str) -> Callable[..., Tensor]:
    def method(self: GraphDefEngine, x: Tensor) -> Tensor:
        return self._elementwise(kind, [x], x)

    return method


def _binary(name: str, kind: str) -> Callable[..., Tensor]:
    def method(self: GraphDefEngine, x1: Tensor, x2: Tensor) -> Tensor:
        if x1.dtype == "bool":
            return {"and": self.logical_and, "or": self.logical_or, "xor": self.not_equal}[
                name.rpartition("_")[2]
            ](x1, x2)
        x2 = self._nonzero(x2) if name == "fmod" else x2
        return self._elementwise(kind, [x1, x2], self.spec.add(x1, x2))

    return method


class GraphDefEngine(TensorFlowEngine):
    """The primitives as nodes of one graph that TensorFlow runs: an engine for each file."""

    name = "graphdef"
    refused: ClassVar[Mapping[str, str]] = {
        **TensorFlowEngine.refused,
        "lu_factor": "TensorFlow's operation gives another kind of pivots",
    }

    vars().update(
        **{name: _unary(kind) for name, kind in _UNARY.items()},
        **{name: _binary(name, kind) for name, kind in _BINARY.items()},
    )

    def bitwise_not(self, x: Tensor) -> Tensor:
        return self.logical_not(x) if x.dtype == "bool" else self._elementwise("Invert", [x], x)

    def view(self, x: Tensor, dtype: str) -> Tensor:
        spec = self.spec.view(x, dtype)
        before, after = (host.numpy_dtype(kind).itemsize for kind in (x.dtype, dtype))
        if before < after:
            x = self.reshape(x, (*spec.dims, after // before))
        dims = (*x.dims, before // after) if before > after else spec.dims
        made = self._node("Bitcast", [x], Spec(dims, dtype), type=Dtype(dtype))
        return self.reshape(made, spec.dims)

    # ---------------------------------------------------------- linalg, fft

    def cholesky(self, x: Tensor) -> Tensor:
        return self._node("Cholesky", [x], x)

    def det(self, x: Tensor) -> Tensor:
        return self._node("MatrixDeterminant", [x], Spec(x.dims[:-2], x.dtype))

    def slogdet(self, x: Tensor) -> tuple[Tensor, Tensor]:
        made = self._nodes("LogMatrixDeterminant", [x], [Spec(x.dims[:-2], x.dtype)] * 2)
        return made[0], made[1]

    def logdet(self, x: Tensor) -> Tensor:
        return self.log(self.det(x))

    def solve(self, a: Tensor, b: Tensor) -> Tensor:
        return self._node("MatrixSolve", [a, b], self.spec.solve(a, b), adjoint=False)

    def solve_triangular(self, a: Tensor, b: Tensor, lower: bool) -> Tensor:
        spec = self.spec.solve_triangular(a, b, lower)
        return self._node("MatrixTriangularSolve", [a, b], spec, lower=lower, adjoint=False)

    def qr(self, x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        q, r = self._nodes("Qr", [x], self.spec.qr(x, mode), full_matrices=mode == "complete")
        return q, r

    def svd(self, x: Tensor, full_matrices: bool) -> tuple[Tensor, Tensor, Tensor]:
        u, s, v = self.spec.svd(x, full_matrices)
        turned = Spec((*v.dims[:-2], v.dims[-1], v.dims[-2]), v.dtype)
        s, u, v = self._nodes(
            "Svd", [x], [s, u, turned], compute_uv=True, full_matrices=full_matrices
        )
        rank = len(v.dims)
        return u, s, self.transpose(v, (*range(rank - 2), rank - 1, rank - 2))

    def eigh(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = self._nodes("SelfAdjointEigV2", [x], self.spec.eigh(x), compute_v=True)
        return values, vectors

    def eig(self, x: Tensor) -> tuple[Tensor, Tensor]:
        specs = self.spec.eig(x)
        values, vectors = self.graph.add("Eig", [x], specs, {"compute_v": True})
        return self._parted(values), self._parted(vectors)
