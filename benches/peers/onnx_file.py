"""ONNX models as the bytes of a file. They are small enough to be written by hand, which saves the
package onnx. The numbers of the fields are those of onnx.proto.
"""

import struct

FLOAT = 1
KIND_INT = 2
KIND_INTS = 7
KIND_FLOAT = 1


def _varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(field, value):
    return _varint(field << 3) + _varint(value)


def _message(field, content):
    content = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _attribute(name, value):
    if isinstance(value, int):
        content, kind = _number(3, value), KIND_INT
    elif isinstance(value, float):
        content, kind = _varint(2 << 3 | 5) + struct.pack("<f", value), KIND_FLOAT
    else:
        content, kind = b"".join(_number(8, item) for item in value), KIND_INTS
    return _message(5, _message(1, name) + content + _number(20, kind))


def node(operator, inputs, output, **attributes):
    """A node that has one output, and is named after it. Attributes are whole numbers, lists of
    them, or floats."""
    return _message(
        1,
        b"".join(_message(1, name) for name in inputs)
        + _message(2, output)
        + _message(3, output)
        + _message(4, operator)
        + b"".join(_attribute(name, value) for name, value in attributes.items()),
    )


def constant(name, array):
    """Numbers that are part of the model."""
    dims = b"".join(_number(1, size) for size in array.shape)
    return _message(5, dims + _number(2, FLOAT) + _message(8, name) + _message(9, array.tobytes()))


def model(parts, x_shape, y_shape):
    """The file of nodes and constants that compute `y` from `x`."""
    graph = (
        b"".join(parts)
        + _message(2, "graph")
        + _value(11, "x", x_shape)
        + _value(12, "y", y_shape)
    )
    ir_version, opset = 8, 13
    return _number(1, ir_version) + _message(7, graph) + _message(8, _number(2, opset))


def _value(field, name, shape):
    dims = b"".join(_message(1, _number(1, size)) for size in shape)
    tensor = _number(1, FLOAT) + _message(2, dims)
    return _message(field, _message(1, name) + _message(2, _message(1, tensor)))
