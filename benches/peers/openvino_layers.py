"""Times OpenVINO on the layers, on the CPU and in f32.

The weights are constants of the model, so that they are packed when it is compiled. Input and
output stay in the buffers of one request. `chosen` names the kernel that the CPU plugin took.
"""

import numpy as np
import openvino
import peer
from openvino import opset13 as op


class OpenVino:
    name = "openvino"
    directions = ("forward",)

    def __init__(self, threads):
        self.core = openvino.Core()

    def prepare(self, layer, direction, data, threads):
        x = op.parameter(layer.x_shape, np.float32)
        window = {
            "strides": [layer.stride_h, layer.stride_w],
            "pads_begin": [layer.pad_top, layer.pad_left],
            "pads_end": [layer.pad_bottom, layer.pad_right],
            "dilations": [layer.dil_h, layer.dil_w],
        }
        if layer.groups == 1:
            y = op.convolution(x, op.constant(data.w), **window)
        else:
            shape = (layer.groups, layer.oc // layer.groups, *layer.w_shape[1:])
            y = op.group_convolution(x, op.constant(data.w.reshape(shape)), **window)
        y = op.add(y, op.constant(data.bias.reshape(1, -1, 1, 1)))
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = self.core.compile_model(openvino.Model([y], [x], "layer"), "CPU", settings)
        request = compiled.create_infer_request()
        # A copy, which the request keeps.
        request.set_input_tensor(openvino.Tensor(data.x))

        def call():
            request.start_async()
            request.wait()

        def result():
            return [request.get_output_tensor().data]

        return [(self.kernel(compiled), call, result)]

    @staticmethod
    def kernel(compiled):
        for node in compiled.get_runtime_model().get_ops():
            info = node.get_rt_info()
            if "layerType" in info and "Convolution" in info["layerType"].value:
                return info["primitiveType"].value
        return "prepacked"


if __name__ == "__main__":
    peer.main(OpenVino, __doc__.split("\n")[0])
