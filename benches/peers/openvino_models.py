"""Times inference by OpenVINO on whole networks, on the CPU and in f32.

The weights are constants of the model, so that they are packed when it is compiled. Input and
output stay in the buffers of one request.
"""

import io

import models
import openvino


class OpenVino:
    name = "openvino"
    modes = ("infer",)

    def __init__(self, threads):
        self.threads = threads
        self.core = openvino.Core()

    def ways(self, model, weights, mode, batch):
        return [("latency", lambda: self.prepare(model, weights, batch))]

    def prepare(self, model, weights, batch):
        settings = {
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        network = self.core.read_model(io.BytesIO(model.onnx(batch, weights)))
        request = self.core.compile_model(network, "CPU", settings).create_infer_request()
        x = model.images(batch)
        # A copy, which the request keeps.
        request.set_input_tensor(openvino.Tensor(x))

        def call():
            request.start_async()
            request.wait()

        def result():
            call()
            return request.get_output_tensor().data

        return call, result


if __name__ == "__main__":
    models.main(OpenVino, __doc__.split("\n")[0])
