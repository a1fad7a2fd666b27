"""Models as services: over HTTP and gRPC, by the protocols that clients speak already."""

from typing import TYPE_CHECKING

from ..core.later import later

if TYPE_CHECKING:
    from ._client import Client as Client
    from ._failures import Failure as Failure
    from ._model import Model as Model
    from ._options import Options as Options
    from ._running import Runner as Runner
    from ._running import TensorSpec as TensorSpec
    from ._server import app as app
    from ._server import serve as serve
else:
    __getattr__, __dir__ = later(
        globals(),
        {
            "_client": "Client",
            "_failures": "Failure",
            "_model": "Model",
            "_options": "Options",
            "_running": "Runner TensorSpec",
            "_server": "app serve",
        },
    )
