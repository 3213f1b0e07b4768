"""Times inference by ONNX Runtime on whole networks, with its CPU provider.

The weights are constants of the model, so that they are packed when the session is made. The
output goes into a buffer that is made once.
"""

import models
import numpy as np
import onnxruntime


class OnnxRuntime:
    name = "onnxruntime"
    modes = ("infer",)

    def __init__(self, threads):
        self.threads = threads
        # Warnings about devices that nobody asked for.
        onnxruntime.set_default_logger_severity(3)

    def ways(self, model, weights, mode, batch):
        return [("all optimisations", lambda: self.prepare(model, weights, batch))]

    def prepare(self, model, weights, batch):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        provider = ["CPUExecutionProvider"]
        file = model.onnx(batch, weights)
        session = onnxruntime.InferenceSession(file, options, providers=provider)
        binding = session.io_binding()
        x = onnxruntime.OrtValue.ortvalue_from_numpy(model.images(batch))
        logits = np.zeros((batch, *model.shapes()[-1]), np.float32)
        y = onnxruntime.OrtValue.ortvalue_from_numpy(logits)
        binding.bind_ortvalue_input("x", x)
        binding.bind_ortvalue_output("y", y)

        def call():
            session.run_with_iobinding(binding)

        def result():
            call()
            return y.numpy()

        return call, result


if __name__ == "__main__":
    models.main(OnnxRuntime, __doc__.split("\n")[0])
