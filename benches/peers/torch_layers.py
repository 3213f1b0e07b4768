"""Times PyTorch on the layers, eagerly: the faster of NCHW and channels_last.

The weights are given in the layout of the images, and oneDNN packs them inside the call. The
output of the last call is freed before the next one, as it is when a network runs, so that the
allocator can give its memory again.
"""

import peer
import torch
import torch.nn.functional as F


class Torch:
    name = "torch"
    directions = peer.DIRECTIONS

    def __init__(self, threads):
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        torch.set_grad_enabled(False)

    def prepare(self, layer, direction, data, threads):
        return [
            (chosen, *self.way(layer, direction, data, memory_format))
            for chosen, memory_format in [
                ("nchw", torch.contiguous_format),
                ("channels_last", torch.channels_last),
            ]
        ]

    def way(self, layer, direction, data, memory_format):
        def tensor(array):
            return torch.from_numpy(array).clone(memory_format=memory_format)

        x, w, dy = tensor(data.x), tensor(data.w), tensor(data.dy)
        bias = torch.from_numpy(data.bias).clone()
        stride = [layer.stride_h, layer.stride_w]
        dilation = [layer.dil_h, layer.dil_w]
        padding = [layer.pad_top, layer.pad_left]
        # The last results: replaced by None before each call.
        kept = None

        if direction == "forward" and layer.is_symmetric:

            def compute():
                return (F.conv2d(x, w, bias, stride, padding, dilation, layer.groups),)

        elif direction == "forward":
            sides = [layer.pad_left, layer.pad_right, layer.pad_top, layer.pad_bottom]

            def compute():
                padded = F.pad(x, sides)
                return (F.conv2d(padded, w, bias, stride, 0, dilation, layer.groups),)

        elif not layer.is_symmetric:
            raise peer.Unsupported("the gradients in PyTorch need the same padding on both sides")
        else:
            data_wanted = direction == "backward_data"
            mask = [data_wanted, not data_wanted, not data_wanted]
            backward = torch.ops.aten.convolution_backward

            def compute():
                window = (stride, padding, dilation, False, [0, 0], layer.groups, mask)
                return backward(dy, x, w, [layer.oc], *window)

        def call():
            nonlocal kept
            kept = None
            kept = compute()

        def result():
            return [part.contiguous().numpy() for part in kept if part is not None]

        return call, result


if __name__ == "__main__":
    peer.main(Torch, __doc__.split("\n")[0])
