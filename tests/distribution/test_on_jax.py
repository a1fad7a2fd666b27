"""Training on several devices of one process: as on one."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tests.distribution.networks import trained

alone = functools.cache(functools.partial(trained, kind="none"))
#: Others are in the soak, all of them in two processes.
KINDS = {
    "perceptron": ["data", "fsdp", "model"],
    "convolutional": ["data"],
    "recurrent": ["model"],
    "attention": ["model"],
    "gan": ["data"],
}


@pytest.mark.parametrize("name, kind", [(name, kind) for name in KINDS for kind in KINDS[name]])
def test_the_curve_is_that_of_one_device(name: str, kind: str) -> None:
    found = trained(name, kind)
    for key, expected in alone(name).items():
        np.testing.assert_allclose(found[key], expected, 1e-5, 1e-5, err_msg=key)
