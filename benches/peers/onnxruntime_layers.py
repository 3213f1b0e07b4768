"""Times ONNX Runtime on the layers, with its CPU provider.

The weights are constants of the model, so that they are packed when the session is made. The
output goes into a buffer that is made once.
"""

import numpy as np
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


# The model as the bytes of an ONNX file. It is small enough to be written by hand, which saves
# the package onnx. The numbers of the fields are those of onnx.proto.


def varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def ints_attribute(name, values):
    kind_ints = 7
    listed = b"".join(number(8, value) for value in values)
    return message(5, message(1, name) + listed + number(20, kind_ints))


def int_attribute(name, value):
    kind_int = 2
    return message(5, message(1, name) + number(3, value) + number(20, kind_int))


FLOAT = 1


def initializer(name, array):
    dims = b"".join(number(1, size) for size in array.shape)
    return message(5, dims + number(2, FLOAT) + message(8, name) + message(9, array.tobytes()))


def value_info(field, name, shape):
    dims = b"".join(message(1, number(1, size)) for size in shape)
    tensor = number(1, FLOAT) + message(2, dims)
    return message(field, message(1, name) + message(2, message(1, tensor)))


def model(layer, data):
    node = (
        b"".join(message(1, name) for name in ("x", "w", "b"))
        + message(2, "y")
        + message(3, "conv")
        + message(4, "Conv")
        + ints_attribute("kernel_shape", [layer.kh, layer.kw])
        + ints_attribute("strides", [layer.stride_h, layer.stride_w])
        + ints_attribute("dilations", [layer.dil_h, layer.dil_w])
        + ints_attribute("pads", [layer.pad_top, layer.pad_left, layer.pad_bottom, layer.pad_right])
        + int_attribute("group", layer.groups)
    )
    graph = (
        message(1, node)
        + message(2, "layer")
        + initializer("w", data.w)
        + initializer("b", data.bias)
        + value_info(11, "x", layer.x_shape)
        + value_info(12, "y", layer.y_shape)
    )
    ir_version, opset = 8, 13
    return number(1, ir_version) + message(7, graph) + message(8, number(2, opset))


if __name__ == "__main__":
    peer.main(OnnxRuntime, __doc__.split("\n")[0])
