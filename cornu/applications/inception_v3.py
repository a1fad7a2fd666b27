"""Inception v3: convolutions of several sizes side by side."""

from __future__ import annotations

from typing import Any

from ._inception import AVERAGE, MAXIMUM, STEM, Beside, Branch, along, branched
from ._network import KERNELS, Standard, network, preprocessing
from .imagenet_utils import decode_predictions as decode_predictions


def _of_5(pooled: int) -> list[Branch]:
    return [
        ((64, 1),),
        ((48, 1), (64, 5)),
        ((64, 1), (96, 3), (96, 3)),
        (AVERAGE, (pooled, 1)),
    ]


def _of_7(width: int) -> list[Branch]:
    """Windows of 7 x 7, as a row and a column."""
    row, column = (1, 7), (7, 1)
    return [
        ((192, 1),),
        ((width, 1), (width, row), (192, column)),
        ((width, 1), (width, column), (width, row), (width, column), (192, row)),
        (AVERAGE, (192, 1)),
    ]


def _of_3(name: str) -> list[Branch]:
    """Windows of 3 x 3, as a row beside a column."""
    both: list[Branch] = [((384, (1, 3)),), ((384, (3, 1)),)]
    return [
        ((320, 1),),
        ((384, 1), Beside(both, name)),
        ((448, 1), (384, 3), Beside(both)),
        (AVERAGE, (192, 1)),
    ]


BLOCKS: tuple[list[Branch], ...] = (
    *map(_of_5, (32, 64, 64)),
    [((384, 3, 2),), ((64, 1), (96, 3), (96, 3, 2)), (MAXIMUM,)],
    *map(_of_7, (128, 160, 160, 192)),
    [
        ((192, 1), (320, 3, 2)),
        ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
        (MAXIMUM,),
    ],
    *map(_of_3, ("mixed9_0", "mixed9_1")),
)


class _InceptionV3(Standard):
    source = "https://arxiv.org/abs/1512.00567"
    file = "inception_v3/{name}" + KERNELS
    smallest = 75
    pool_names = ("avg_pool", None, None)
    mode = "tf"
    spelled = ("V3", "_v3")

    def features(self, x: Any) -> Any:
        x = along(x, STEM)
        for index, branches in enumerate(BLOCKS):
            x = branched(x, branches, f"mixed{index}")
        return x


InceptionV3 = network(_InceptionV3, "InceptionV3", 23_851_784, side=299)
preprocess_input = preprocessing(_InceptionV3)
