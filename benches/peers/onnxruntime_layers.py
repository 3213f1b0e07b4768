"""Times ONNX Runtime on the layers, with its CPU provider.

The weights are constants of the model, so that they are packed when the session is made. The
output goes into a buffer that is made once.
"""

import numpy as np
import onnx_file
import onnxruntime
import peer


class OnnxRuntime:
    name = "onnxruntime"
    directions = ("forward",)

    def __init__(self, threads):
        # Warnings about devices that nobody asked for.
        onnxruntime.set_default_logger_severity(3)

    def prepare(self, layer, direction, data, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        provider = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(model(layer, data), options, providers=provider)
        binding = session.io_binding()
        x = onnxruntime.OrtValue.ortvalue_from_numpy(data.x)
        y = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(layer.y_shape, np.float32))
        binding.bind_ortvalue_input("x", x)
        binding.bind_ortvalue_output("y", y)

        def call():
            session.run_with_iobinding(binding)

        def result():
            return [y.numpy()]

        return [("prepacked", call, result)]


def model(layer, data):
    conv = onnx_file.node(
        "Conv",
        ["x", "w", "b"],
        "y",
        kernel_shape=[layer.kh, layer.kw],
        strides=[layer.stride_h, layer.stride_w],
        dilations=[layer.dil_h, layer.dil_w],
        pads=[layer.pad_top, layer.pad_left, layer.pad_bottom, layer.pad_right],
        group=layer.groups,
    )
    constants = [onnx_file.constant("w", data.w), onnx_file.constant("b", data.bias)]
    return onnx_file.model([conv, *constants], layer.x_shape, layer.y_shape)


if __name__ == "__main__":
    peer.main(OnnxRuntime, __doc__.split("\n")[0])
