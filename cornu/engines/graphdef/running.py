"""Runs SavedModels: a line of standard input is a request in JSON, a line of standard output its answer.

A program of its own, so that an export loads no TensorFlow.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import numpy as np


def main() -> None:
    """Answer requests: a folder to load, or inputs to run it on."""
    import tensorflow as tf

    signature: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "folder" in request:
                signature = tf.saved_model.load(request["folder"]).signatures["serving_default"]
                answer: dict[str, Any] = {}
            else:
                given = {name: tf.constant(array(x)) for name, x in request["inputs"].items()}
                results = signature(**given)
                answer = {"outputs": [told(results[name].numpy()) for name in request["outputs"]]}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def array(x: Any) -> Any:
    """A tensor of a request."""
    if x["dtype"] == "string":
        return np.array(x["data"], object).reshape(x["shape"])
    data = np.frombuffer(base64.b64decode(x["data"]), x["dtype"])
    return data.reshape(x["shape"])


def told(x: Any) -> dict[str, Any]:
    """A tensor of an answer."""
    data = base64.b64encode(x.tobytes()).decode()
    return {"dtype": x.dtype.name, "shape": x.shape, "data": data}


if __name__ == "__main__":
    main()
