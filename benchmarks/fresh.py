"""A fresh process's first results: `python -m benchmarks.fresh SUBJECT START`.

START is when the process was started, in seconds since 1970. One line of JSON gives the seconds of each
part, and the engines' libraries that the import alone has loaded.
"""

import os
import sys
import time

if sys.argv[1] == "base":
    sys.path.insert(0, os.environ["CORNU_BENCHMARKS_BASE"])
begin = time.perf_counter()
if sys.argv[1] == "keras":
    import keras as package
else:
    import cornu as package
seconds = {"import": time.perf_counter() - begin}
LIBRARIES = ("jax", "torch", "tensorflow", "pytensor")
loaded = [name for name in LIBRARIES if name in sys.modules]


def main() -> None:
    """Train, predict, build and compile, in this order."""
    import json

    import numpy as np

    model = package.Sequential(
        [
            package.Input((64,)),
            package.layers.Dense(64, activation="relu"),
            package.layers.Dense(10),
        ]
    )
    x, y = np.ones((32, 64), "float32"), np.zeros((32,), "int32")
    train(model, x, y)
    seconds["python to the first trained step"] = time.time() - float(sys.argv[2])
    timed("first predict", lambda: model.predict(x, verbose=0))
    from . import workloads
    from .models import cnn, resnet

    timed("build ResNet50", lambda: resnet(package, **workloads.RESNET50))
    images, labels = np.ones((128, 28, 28, 1), "float32"), np.zeros((128,), "int32")
    model = cnn(package, **workloads.IMAGES)
    timed("compile and first step of the CNN", lambda: train(model, images, labels))
    print(json.dumps({"seconds": seconds, "loaded": loaded}))


def train(model: object, x: object, y: object) -> None:
    """One step of Adam."""
    loss = package.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss)
    model.fit(x, y, batch_size=len(x), verbose=0)


def timed(name: str, work: object) -> None:
    """Note how long a part takes."""
    start = time.perf_counter()
    work()
    seconds[name] = time.perf_counter() - start


if __name__ == "__main__":
    main()
