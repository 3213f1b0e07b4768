"""Times PyTorch on whole networks: the fastest of eager and torch.compile, of NCHW and
channels_last.

A training step is forward, cross-entropy, backward and fused Adam. For inference gradients are
off, and torch.compile takes the weights as constants, which it packs.
"""

import models
import torch
import torch.nn.functional as F
from torch import nn

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


class Torch:
    name = "torch"
    modes = models.MODES

    def __init__(self, threads):
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)

    def ways(self, model, weights, mode, batch):
        # Or it takes the next network for the last one with other sizes, and compiles it for any.
        torch.compiler.reset()
        prepare = self.train if mode == "train" else self.infer
        for compiled in (False, True):
            for name, memory_format in FORMATS.items():
                chosen = f"{'compile' if compiled else 'eager'} {name}"
                settings = (model, weights, batch, memory_format, compiled)
                yield chosen, lambda settings=settings: prepare(*settings)

    def train(self, model, weights, batch, memory_format, compiled):
        torch.manual_seed(1)
        net = network(model, weights).to(memory_format=memory_format)
        x = torch.from_numpy(model.images(batch)).contiguous(memory_format=memory_format)
        labels = torch.arange(batch) * 7 % model.shapes()[-1][0]
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
        net.train()
        run = torch.compile(net, dynamic=False) if compiled else net

        def call():
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(run(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        def result():
            net.eval()
            with torch.no_grad():
                logits = net(x[:1]).numpy()
            net.train()
            return logits

        return call, result

    def infer(self, model, weights, batch, memory_format, compiled):
        net = network(model, weights).to(memory_format=memory_format).eval()
        x = torch.from_numpy(model.images(batch)).contiguous(memory_format=memory_format)
        torch._inductor.config.freezing = True
        run = torch.compile(net, dynamic=False) if compiled else net

        def call():
            with torch.no_grad():
                return run(x)

        def result():
            return call().numpy()

        return call, result


def network(model, weights):
    """The same as a torch module."""
    modules, shapes = [], model.shapes()
    for layer, shape, parameters in zip(model.layers, shapes, weights, strict=False):
        if isinstance(layer, models.Affine) and len(shape) > 1:
            modules.append(nn.Flatten())
        module = module_of(layer, shape)
        if parameters:
            with torch.no_grad():
                for own, values in zip((module.weight, module.bias), parameters, strict=True):
                    own.copy_(torch.from_numpy(values))
        modules.append(module)
    return nn.Sequential(*modules)


def module_of(layer, shape):
    match layer:
        case models.Conv():
            window = {"stride": layer.stride, "padding": layer.pad, "groups": layer.groups}
            return nn.Conv2d(shape[0], layer.filters, layer.kernel, **window)
        case models.Affine():
            features = 1
            for size in shape:
                features *= size
            return nn.Linear(features, layer.outputs)
        case models.Relu():
            return nn.ReLU(inplace=True)
        case models.Sigmoid():
            return nn.Sigmoid()
        case models.MaxPool():
            return nn.MaxPool2d(layer.kernel, layer.stride)
        case models.AvgPool():
            return nn.AvgPool2d(layer.kernel, layer.stride)
        case models.Lrn():
            return nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
        case models.Dropout():
            return nn.Dropout(layer.rate)


if __name__ == "__main__":
    models.main(Torch, __doc__.split("\n\n")[0].replace("\n", " "))
