"""One of several processes that train networks together: `python -m tests.distribution.process ENGINE ADDRESS SIZE
RANK OUT NAME:KIND:SHAPE...`. Number 0 writes what they found."""

from __future__ import annotations

import sys

import numpy as np

from cornu import engines
from tests.distribution.networks import trained


def main(engine: str, address: str, size: str, rank: str, out: str, *cases: str) -> None:
    """Train each network."""
    found = engines.set_default(engine)
    found.connect(address, int(size), int(rank), int(rank))
    for case in cases:
        name, kind, shape, source = case.split(":")
        results = trained(name, kind, tuple(map(int, shape.split("x"))), out, source)
        np.savez(f"{out}/{name}-{kind}-{source}-{rank}.npz", **results)
    found.barrier()  # none leaves while another one still needs it


if __name__ == "__main__":
    main(*sys.argv[1:])
