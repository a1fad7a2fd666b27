"""TensorFlow's operations as far as they are written: what each wants to be told of dtypes, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

#: Lines of `results: attributes: operations`. An attribute is a dtype: of the operand at an index, of `out`, the
#: result, or of all operands `*`; or how many operands there are, `#`, less the ones behind them.
_TABLE = """
y: T=0: Abs Sign Neg Ceil Floor Rint Round Sqrt Rsqrt Exp Expm1 Log Log1p Sin Cos Tan Asin Acos Atan Sinh Cosh
    Tanh Asinh Acosh Atanh Erf Erfc Erfinv Lgamma IsNan IsInf IsFinite Sigmoid Invert BesselI0 Reciprocal Square
z: T=0: AddV2 Sub Mul RealDiv FloorDiv FloorMod TruncateMod Mod Maximum Minimum Pow Atan2 Equal NotEqual Less
    LessEqual Greater GreaterEqual BitwiseAnd BitwiseOr BitwiseXor LeftShift RightShift
y:: LogicalNot
z:: LogicalAnd LogicalOr
activations: T=0: Relu Relu6 Elu Selu LeakyRelu Softplus Softsign
softmax: T=0: Softmax
logsoftmax: T=0: LogSoftmax
y: SrcT=0 DstT=out: Cast
output: T=0 type=out: Bitcast
output: T=0: Identity NextAfter Cholesky MatrixDeterminant MatrixInverse MatrixSolve MatrixTriangularSolve Squeeze
    Conv2D DepthwiseConv2dNative Conv3D MaxPool MaxPool3D AvgPool AvgPool3D BatchMatMulV2
output: T=1: SelectV2 Conv2DBackpropInput
output: T=0 Tidx=1: Sum Prod Max Min Mean BroadcastTo ReverseV2
output: Tidx=1: All Any
output: T=0 Tidx=1 output_type=out: ArgMax ArgMin
out: T=0 Tidx=1: Cumsum Cumprod
output: T=0 out_type=out: Shape LowerBound UpperBound
output: T=0 Tshape=1: Reshape
y: T=0 Tperm=1: Transpose
output: N=#1 T=0 Tidx=-1: ConcatV2
output: T=0 Tpaddings=1: PadV2
output: Tparams=0 Tindices=1 Taxis=2: GatherV2
output: Tparams=0 Tindices=1: GatherNd
output: T=0 Tindices=1: TensorScatterUpdate TensorScatterAdd TensorScatterMax TensorScatterMin
output: Tindices=0 T=1: ScatterNd
output: T=0 Index=1: Slice StridedSlice
values indices: T=0 Tk=1 index_type=int32: TopKV2
y idx: T=0 Taxis=1 out_idx=int32: UniqueV2
index: T=0: Where
output: T=1 index_type=0: Fill
output: Tidx=0: Range
product: T=0: MatMul
output: Tcomplex=0: FFT IFFT
output: Treal=0 Tcomplex=out: RFFT
output: Tcomplex=0 Treal=out: IRFFT
out: T=0 Tout=out: Complex
output: T=0 Tout=out: Real Imag
q r: T=0: Qr
s u v: T=0: Svd
e v: T=0: SelfAdjointEigV2
e v: T=0 Tout=out: Eig
lu p: T=0 output_idx_type=int32: Lu
sign log_abs_determinant: T=0: LogMatrixDeterminant
y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3: T=0 U=1: FusedBatchNormV3
table_handle:: HashTableV2
:Tin=1 Tout=2: LookupTableImportV2
values: Tin=1 Tout=2: LookupTableFindV2
output: Tcond=0 Tin=*1 Tout=outs: StatelessIf
output: T=*0: StatelessWhile
"""


#: Lines of `dtypes: operations`: what TensorFlow's kernels for CPUs don't take.
_LACKS = """
bool: Square AddV2 Sub Mul FloorDiv FloorMod Maximum Minimum Less LessEqual Greater GreaterEqual Relu Relu6 Sum Prod Max
    Min Mean Cumsum Cumprod TensorScatterAdd TensorScatterMax TensorScatterMin TopKV2
uint32 uint64 bool: MaxPool
uint8 uint16 uint32 uint64 bool: Abs Sign Neg Pow
int8 uint8 uint16 uint32 uint64 bool: BatchMatMulV2
int8 int16 uint8 uint16 uint32 uint64 bool: Round MatMul
int8 int16 int64 uint8 uint16 uint32 uint64 bool: Conv2D Conv2DBackpropInput
int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool: Conv3D AvgPool DepthwiseConv2dNative RealDiv
float16 bfloat16 int8 int16 uint8 uint16 uint32 uint64 bool: TruncateMod
bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool: Lgamma BesselI0 Qr
float64 float16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool: MaxPool3D AvgPool3D
float16 bfloat16: Erfinv NextAfter Cholesky MatrixDeterminant MatrixSolve MatrixTriangularSolve Complex Svd
    SelfAdjointEigV2 Eig LogMatrixDeterminant
"""
#: Where a value of a dtype goes that an operation lacks.
_WIDER = {
    "bool": "int32", "int8": "int32", "int16": "int32", "uint8": "int32", "uint16": "int32",
    "uint32": "int64", "uint64": "int64", "int32": "float32", "int64": "float64",
    "float16": "float32", "bfloat16": "float32", "float64": "float32",
}  # fmt: skip
#: Operations that give booleans, whatever they take.
_TESTS = frozenset("Less LessEqual Greater GreaterEqual".split())


class Operation(NamedTuple):
    """An operation: the names of its results, and the rules of its attributes."""

    results: tuple[str, ...]
    rules: dict[str, str]


def _read(table: str) -> dict[str, Operation]:
    found = {}
    for line in table.strip().replace("\n    ", " ").splitlines():
        results, attributes, kinds = (part.split() for part in line.split(":"))
        rules = dict(rule.split("=") for rule in attributes)
        found.update(dict.fromkeys(kinds, Operation(tuple(results), rules)))
    return found


OPERATIONS = _read(_TABLE)


def lacks(table: str) -> dict[str, frozenset[str]]:
    """The dtypes that operations lack, from lines of `dtypes: operations`."""
    found: dict[str, frozenset[str]] = {}
    for line in table.strip().replace("\n    ", " ").splitlines():
        dtypes, kinds = (part.split() for part in line.split(":"))
        found.update(dict.fromkeys(kinds, frozenset(dtypes)))
    return found


LACKS = lacks(_LACKS)


def operand_dtype(lacking: frozenset[str], dtype: str) -> str:
    """The dtype in which an operation runs that lacks some."""
    while dtype in lacking:
        dtype = _WIDER[dtype]
    return dtype


def result_dtype(kind: str, lacking: frozenset[str], dtype: str) -> str:
    """The dtype of what it gives then."""
    return dtype if kind in _TESTS else operand_dtype(lacking, dtype)


class Dtype(str):
    """An attribute that is a dtype, by its name here."""


class Body(str):
    """An attribute that is a function, by its name."""


def typed(kind: str, given: Sequence[str], results: Sequence[str]) -> dict[str, Any]:
    """The attributes of an operation that follow from the dtypes of its operands and results.

    >>> typed("ConcatV2", ["float32", "float32", "int32"], ["float32"])
    {'N': 2, 'T': 'float32', 'Tidx': 'int32'}
    """

    def value(rule: str) -> Any:
        if rule[0] == "#":
            return len(given) - int(rule[1:] or 0)
        if rule[0] == "*":
            return [Dtype(x) for x in given[int(rule[1:]) :]]
        if rule == "outs":
            return [Dtype(x) for x in results]
        if rule == "out":
            return Dtype(results[0])
        return Dtype(given[int(rule)] if rule.lstrip("-").isdigit() else rule)

    return {name: value(rule) for name, rule in OPERATIONS[kind].rules.items()}
