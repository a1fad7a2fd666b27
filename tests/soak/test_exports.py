"""Every network, and what else is exported: in each format, run by its runtime and compared."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cornu import applications, engines
from cornu.applications._network import NETWORKS
from cornu.export import FORMATS
from tests.applications.networks import fill, images, small
from tests.export import models
from tests.export.test_tfjs_layers import NODE

#: Formats that hold what another one does.
SAME = {"web", "triton", "onnx_training"}
#: What layers-models of TensorFlow.js are not for.
REFUSED = r"A layers-model has what TensorFlow.js knows, and computes as here. Received: "


def network(name: str) -> tuple[Any, dict[str, Any]]:
    model = getattr(applications, name)(**small(name))
    fill(model)
    return model, {"examples": images(model)}


def other(name: str) -> tuple[Any, dict[str, Any]]:
    return models.made(name), {}


CASES: dict[str, tuple[Callable[[str], Any], str]] = {
    **{name: (network, name) for name in NETWORKS},
    **{name: (other, name) for name in (*models.ALL, *models.OTHERS)},
}


#: Of a network a format takes 15 seconds, of the largest two minutes.
PAIRS = [(name, format) for name in CASES for format in sorted(FORMATS.keys() - SAME)]


@pytest.mark.soak
@pytest.mark.parametrize(("name", "format"), PAIRS)
def test_an_export(
    name: str,
    format: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(NODE)  # where TensorFlow.js is
    make, of = CASES[name]
    with engines.use("numpy"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of overflows in sigmoids
        model, options = make(of)
        if name == "text":
            options["preprocessing"] = tmp_path / "before.json"
        path = tmp_path / f"model{FORMATS[format].suffix}"
        try:
            model.export(path, format=format, **options)
        except (NotImplementedError, ValueError) as error:
            if format == "tfjs_layers" and (re.match(REFUSED, str(error)) or name == "text"):
                pytest.skip(str(error))
            raise
    found = re.search(r"largest difference (\S+)", " ".join(capsys.readouterr().out.split()))
    assert found, "nothing was compared"
    print(
        f"{name} {format} {float(found[1]):.1e} {sum(x.stat().st_size for x in tmp_path.rglob('*')):,}"
    )
