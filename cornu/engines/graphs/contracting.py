"""Einstein's summation as products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..contract import Tensor
from .graph import Value
from .looping import Looping

#: Letters for the axes that `...` stands for in an equation, the last one for the last axis.
AXES = "PQRSTUVW"


class Contracting(Looping):
    """Contractions of a format that is given none but products of matrices."""

    def einsum(self, subscripts: str, operands: Sequence[Tensor]) -> Tensor:
        """Operand by operand, each step a product of matrices."""
        spec = self.spec.einsum(subscripts, operands)
        terms, _, result = subscripts.replace(" ", "").partition("->")
        named = []
        for term, x in zip(terms.split(","), operands, strict=True):
            count = len(x.dims) - len(term.replace("...", ""))
            named.append((term.replace("...", AXES[len(AXES) - count :]), x))
        size = len(spec.dims) - len(result.replace("...", ""))
        result = result.replace("...", AXES[len(AXES) - size :])
        letters, x = named[0]
        for i, (term, y) in enumerate(named[1:], start=1):
            kept = set(result).union(*(later for later, _ in named[i + 1 :]))
            letters, x = self._contracted(
                *self._alone(letters, x, kept | set(term)),
                *self._alone(term, y, kept | set(letters)),
                kept,
            )
        letters, x = self._alone(letters, x, set(result))
        return self.reshape(self.transpose(x, tuple(map(letters.index, result))), spec.dims)

    def _alone(self, letters: str, x: Value, kept: set[str]) -> tuple[str, Value]:
        """An operand without the axes that nothing else has: diagonals taken, the rest summed."""
        for letter in dict.fromkeys(letters):
            while letters.count(letter) > 1:
                first = letters.index(letter)
                second = letters.index(letter, first + 1)
                x = self._diagonal(x, first, second)
                letters = letters[:second] + letters[second + 1 :]
        axes = tuple(i for i, letter in enumerate(letters) if letter not in kept)
        x = self.sum(x, axes, False) if axes else x
        return "".join(letter for letter in letters if letter in kept), x

    def _diagonal(self, x: Value, first: int, second: int) -> Value:
        """The elements with the same index on two axes, along the first of them."""
        size = x.dims[first]
        line = self.reshape(self.arange(0, size, 1, "int32"), (size, *(1,) * (len(x.dims) - 1)))
        taken = self.take_along_axis(self._shifted(x, first, 1, 0), line, second)
        dims = (*taken.dims[:second], *taken.dims[second + 1 :])
        return self._shifted(self.reshape(taken, dims), 0, 1, first)

    def _contracted(
        self, left: str, x: Value, right: str, y: Value, kept: set[str]
    ) -> tuple[str, Value]:
        """The product of two operands, summed over the axes that they share and that aren't kept."""
        shared = [letter for letter in left if letter in right]
        batch = [letter for letter in shared if letter in kept]
        inner = [letter for letter in shared if letter not in kept]
        rows = [letter for letter in left if letter not in right]
        columns = [letter for letter in right if letter not in left]
        sizes = dict(zip(left, x.dims, strict=True))
        for letter, size in zip(right, y.dims, strict=True):  # an axis of size 1 broadcasts
            sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]

        def matrix(letters: str, z: Value, *groups: list[str]) -> Value:
            moved = self.transpose(z, tuple(letters.index(k) for group in groups for k in group))
            lead = moved.dims[: len(batch)]
            full = [sizes[k] for group in groups[1:] for k in group]
            if moved.dims[len(batch) :] != tuple(full):
                moved = self.broadcast_to(moved, (*lead, *full))
            return self.reshape(
                moved, (*lead, *(math.prod([sizes[k] for k in group]) for group in groups[1:]))
            )

        product = self.matmul(
            matrix(left, x, batch, rows, inner), matrix(right, y, batch, inner, columns)
        )
        found = [*batch, *rows, *columns]
        return "".join(found), self.reshape(product, tuple(sizes[letter] for letter in found))
