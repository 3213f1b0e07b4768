"""Times ncnn on the layers, in f32, image by image: it knows no batches.

Winograd is on; the weights are packed and transformed when the net is loaded. An image goes in
and its output comes out as planes, as everywhere here.
"""

import ncnn
import numpy as np
import peer


class Ncnn:
    name = "ncnn"
    directions = ("forward",)

    def __init__(self, threads):
        pass

    def prepare(self, layer, direction, data, threads):
        net = ncnn.Net()
        options = net.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        # Plain f32: by default ncnn stores and computes in 16 bits where the CPU can.
        for kind in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
            if hasattr(options, f"use_{kind}"):
                setattr(options, f"use_{kind}", False)
        options.use_winograd_convolution = True
        options.use_sgemm_convolution = True
        options.use_packing_layout = True
        if net.load_param_mem(self.param(layer)) != 0:
            raise peer.Unsupported("ncnn does not take the layer")
        # Weights with the tag "f32", then the bias.
        weights = np.zeros(1, np.uint32).tobytes() + data.w.tobytes() + data.bias.tobytes()
        net.load_model_mem(weights)
        images = [ncnn.Mat(image).clone() for image in data.x]
        kept = []

        def call():
            kept.clear()
            for image in images:
                extractor = net.create_extractor()
                extractor.input("x", image)
                status, y = extractor.extract("y")
                if status != 0:
                    raise SystemExit(f"ncnn: {layer.name}: extract says {status}")
                kept.append(y)

        def result():
            return [np.stack([np.array(y) for y in kept])]

        return [("batch 1" if layer.n == 1 else f"{layer.n} x batch 1", call, result)]

    @staticmethod
    def param(layer):
        kind = "Convolution" if layer.groups == 1 else "ConvolutionDepthWise"
        fields = {
            0: layer.oc,
            1: layer.kw,
            11: layer.kh,
            2: layer.dil_w,
            12: layer.dil_h,
            3: layer.stride_w,
            13: layer.stride_h,
            4: layer.pad_left,
            14: layer.pad_top,
            15: layer.pad_right,
            16: layer.pad_bottom,
            5: 1,
            6: int(np.prod(layer.w_shape)),
        }
        if layer.groups != 1:
            fields[7] = layer.groups
        fields = " ".join(f"{key}={value}" for key, value in fields.items())
        return f"7767517\n2 2\nInput x 0 1 x\n{kind} conv 1 1 x y {fields}\n"


if __name__ == "__main__":
    peer.main(Ncnn, __doc__.split("\n")[0])
