"""LitServe with a model on ONNX Runtime, for `benchmarks/serving.py`: FILE PORT, in an environment of its own."""

import sys

import litserve
import numpy as np
import onnxruntime


class Model(litserve.LitAPI):
    """One worker, as ours has; batches cost it more than they give for a small model."""

    def setup(self, device):
        self.session = onnxruntime.InferenceSession(sys.argv[1])

    def decode_request(self, request):
        return np.array(request["instances"], "float32")

    def predict(self, x):
        return self.session.run(None, {"x": x})[0]

    def encode_response(self, output):
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu")
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error"
    )
