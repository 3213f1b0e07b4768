"""What the scripts `*_models.py` share: the networks, their weights, the check, the rows.

The networks are those of benches/src/model.rs, of which `parameters` in the rows is the proof. A
script defines a class with three things and calls `main` with it:

    name                       in the column `engine`
    modes                      those that the library can run
    ways(model, weights, mode, batch) -> pairs (chosen, prepare)

`prepare()` returns `(call, result)`: `call()` is what is timed, and `result()` gives the logits in
evaluation mode. Every way is tried first; from then on only the fastest one runs.
"""

import argparse
import gc
import os
import statistics
import sys
from typing import NamedTuple

import numpy as np
import onnx_file
import peer

MODES = ("train", "infer")

COLUMNS = (
    "name",
    "mode",
    "batch",
    "engine",
    "chosen",
    "threads",
    "parameters",
    "median_ms",
    "images_per_s",
    "gflops",
    "percent_of_peak",
    "rel_rms_error",
)


class Conv(NamedTuple):
    filters: int
    kernel: int
    stride: int = 1
    pad: int = 0
    groups: int = 1


class Affine(NamedTuple):
    outputs: int


class Relu(NamedTuple):
    pass


class Sigmoid(NamedTuple):
    pass


class MaxPool(NamedTuple):
    kernel: int
    stride: int


class AvgPool(NamedTuple):
    kernel: int
    stride: int


class Lrn(NamedTuple):
    """Over channels; alpha is divided by their number, as in PyTorch and ONNX."""

    size: int = 5
    alpha: float = 5e-4
    beta: float = 0.75
    k: float = 2.0


class Dropout(NamedTuple):
    rate: float


def deep_convnet():
    layers = []
    for filters, pads in [(16, (1, 1)), (32, (1, 2)), (64, (1, 1))]:
        for pad in pads:
            layers += [Conv(filters, 3, pad=pad), Relu()]
        layers.append(MaxPool(2, 2))
    return [*layers, Affine(50), Relu(), Dropout(0.5), Affine(10), Dropout(0.5)]


class Model(NamedTuple):
    """A network: the channels, rows and columns of an image, its usual batch, its layers."""

    name: str
    image: tuple
    batch: int
    layers: tuple

    def shapes(self):
        """The shapes that the layers take, and last that of the output, without the batch."""
        shapes = [self.image]
        for layer in self.layers:
            shape = shapes[-1]
            match layer:
                case Conv():
                    pad = 2 * layer.pad
                    sides = [(s + pad - layer.kernel) // layer.stride + 1 for s in shape[1:]]
                    shapes.append((layer.filters, *sides))
                case MaxPool() | AvgPool():
                    sides = [(s - layer.kernel) // layer.stride + 1 for s in shape[1:]]
                    shapes.append((shape[0], *sides))
                case Affine():
                    shapes.append((layer.outputs,))
                case _:
                    shapes.append(shape)
        return shapes

    def weight_shapes(self):
        """Of each layer the shape of its weights, or None."""
        shapes = []
        for layer, shape in zip(self.layers, self.shapes(), strict=False):
            match layer:
                case Conv():
                    channels = shape[0] // layer.groups
                    shapes.append((layer.filters, channels, layer.kernel, layer.kernel))
                case Affine():
                    shapes.append((layer.outputs, int(np.prod(shape))))
                case _:
                    shapes.append(None)
        return shapes

    def parameters(self):
        shapes = [shape for shape in self.weight_shapes() if shape]
        return sum(int(np.prod(shape)) + shape[0] for shape in shapes)

    def operations(self, mode):
        """For one image, two for each multiply-add of convolutions and affine layers by the
        formula. Training counts them three times, but for the first layer, which needs no gradient
        by its input."""
        counts = []
        for weights, shape in zip(self.weight_shapes(), self.shapes()[1:], strict=True):
            if weights:
                counts.append(int(np.prod(weights)) * int(np.prod(shape[1:])))
        return 2 * (sum(counts) if mode == "infer" else 3 * sum(counts) - counts[0])

    def weights(self):
        """Of each layer (weights, bias), or None: normal numbers that keep the size of the
        activations."""
        rng = np.random.default_rng(1)

        def drawn(shape):
            scale = np.float32((2.0 / np.prod(shape[1:])) ** 0.5)
            weights = rng.standard_normal(shape, dtype=np.float32) * scale
            return weights, rng.standard_normal(shape[0], dtype=np.float32) * np.float32(0.1)

        return [shape and drawn(shape) for shape in self.weight_shapes()]

    def images(self, n):
        return np.random.default_rng(2).random((n, *self.image), dtype=np.float32)

    def logits(self, image, weights):
        """Of one image, by the formulas and in f64."""
        x = image.astype(np.float64)
        for layer, parameters in zip(self.layers, weights, strict=True):
            x = _apply(layer, parameters, x)
        return x

    def onnx(self, n, weights):
        """The bytes of an ONNX file, for batches of n images."""
        parts, value, is_flat = [], "x", False
        last = len(self.layers) - 1
        while isinstance(self.layers[last], Dropout):
            last -= 1
        for i, (layer, parameters) in enumerate(zip(self.layers, weights, strict=True)):
            if isinstance(layer, Dropout):
                continue
            if isinstance(layer, Affine) and not is_flat:
                parts.append(onnx_file.node("Flatten", [value], "flat", axis=1))
                value, is_flat = "flat", True
            inputs = [value]
            if parameters:
                inputs += [f"w{i}", f"b{i}"]
                parts += map(onnx_file.constant, inputs[1:], parameters)
            value = "y" if i == last else f"y{i}"
            operator, attributes = _onnx(layer)
            parts.append(onnx_file.node(operator, inputs, value, **attributes))
        return onnx_file.model(parts, (n, *self.image), (n, *self.shapes()[-1]))


def _onnx(layer):
    match layer:
        case Conv():
            window = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
            return "Conv", {**window, "pads": [layer.pad] * 4, "group": layer.groups}
        case MaxPool() | AvgPool():
            operator = "MaxPool" if isinstance(layer, MaxPool) else "AveragePool"
            return operator, {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
        case Affine():
            return "Gemm", {"transB": 1}
        case Lrn():
            numbers = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k}
            return "LRN", {"size": layer.size, **numbers}
        case Relu():
            return "Relu", {}
        case Sigmoid():
            return "Sigmoid", {}


def _windows(x, kernel, stride):
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(1, 2))
    return windows[:, ::stride, ::stride]


def _apply(layer, parameters, x):
    match layer:
        case Conv():
            w, b = parameters
            pad = (layer.pad, layer.pad)
            windows = _windows(np.pad(x, ((0, 0), pad, pad)), layer.kernel, layer.stride)
            parts = zip(np.split(w, layer.groups), np.split(windows, layer.groups), strict=True)
            sums = [np.tensordot(w, part, ((1, 2, 3), (0, 3, 4))) for w, part in parts]
            return np.concatenate(sums) + b[:, None, None]
        case Affine():
            w, b = parameters
            return w @ x.reshape(-1) + b
        case Relu():
            return np.maximum(x, 0.0)
        case Sigmoid():
            return 1.0 / (1.0 + np.exp(-x))
        case MaxPool():
            return _windows(x, layer.kernel, layer.stride).max(axis=(3, 4))
        case AvgPool():
            return _windows(x, layer.kernel, layer.stride).mean(axis=(3, 4))
        case Lrn():
            half = layer.size // 2
            squares = np.pad(x**2, ((half, half), (0, 0), (0, 0)))
            sums = sum(squares[i : i + len(x)] for i in range(layer.size))
            return x / (layer.k + layer.alpha / layer.size * sums) ** layer.beta
        case Dropout():
            return x


MODELS = {
    model.name: model
    for model in [
        Model(
            "simple-convnet",
            (1, 28, 28),
            100,
            (Conv(30, 5), Relu(), MaxPool(2, 2), Affine(100), Relu(), Affine(10)),
        ),
        Model(
            "lenet5",
            (1, 28, 28),
            100,
            (
                *(Conv(6, 5, pad=2), Sigmoid(), AvgPool(2, 2)),
                *(Conv(16, 5), Sigmoid(), AvgPool(2, 2)),
                *(Affine(120), Sigmoid(), Affine(84), Sigmoid(), Affine(10)),
            ),
        ),
        Model("deep-convnet", (1, 28, 28), 100, tuple(deep_convnet())),
        Model(
            "alexnet",
            (3, 227, 227),
            16,
            (
                *(Conv(96, 11, stride=4), Relu(), Lrn(), MaxPool(3, 2)),
                *(Conv(256, 5, pad=2, groups=2), Relu(), Lrn(), MaxPool(3, 2)),
                *(Conv(384, 3, pad=1), Relu()),
                *(Conv(384, 3, pad=1, groups=2), Relu()),
                *(Conv(256, 3, pad=1, groups=2), Relu(), MaxPool(3, 2)),
                *(Affine(4096), Relu(), Dropout(0.5)),
                *(Affine(4096), Relu(), Dropout(0.5), Affine(1000)),
            ),
        ),
    ]
}


class Timer:
    """Keeps what was prepared for a network until another one is asked for."""

    def __init__(self, library, options):
        self.library = library
        self.options = options
        self.kept = None

    def row(self, model, mode, batch):
        """The fields of one row. Where there are no numbers, `chosen` says why."""
        start = [model.name, mode, batch, self.library.name]
        if mode not in self.library.modes:
            reason = f"none: {self.library.name} does not {mode}"
            return [*start, reason, self.options.threads, model.parameters(), "", "", "", "", ""]
        key = (model.name, mode, batch)
        if self.kept is None or self.kept[0] != key:
            # The old network goes before the new one comes.
            self.kept = None
            gc.collect()
            self.kept = (key, *self._fastest(model, mode, batch))
        _, chosen, call, error = self.kept
        runs = [peer.seconds_per_call(call) for _ in range(self.options.runs)]
        seconds = statistics.median(runs)
        gflops = batch * model.operations(mode) / seconds / 1e9
        percent = f"{100 * gflops / self.options.peak:.1f}" if self.options.peak else ""
        speed = [f"{seconds * 1e3:.4f}", f"{batch / seconds:.1f}", f"{gflops:.2f}"]
        settings = [chosen, self.options.threads, model.parameters()]
        return [*start, *settings, *speed, percent, f"{error:.2e}"]

    def _fastest(self, model, mode, batch):
        weights = model.weights()
        expected = model.logits(model.images(batch)[0], weights)
        best = None
        for chosen, prepare in self.library.ways(model, weights, mode, batch):
            call, result = prepare()
            found = np.asarray(result()[0], np.float64)
            error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
            if not error <= peer.WRONG:
                name = f"{self.library.name}: {model.name}: {chosen}"
                raise SystemExit(f"{name} is wrong: {error:.1e}")
            seconds = min(peer.seconds_per_call(call) for _ in range(2))
            if best is None or seconds < best[0]:
                best = (seconds, chosen, call, error)
            # At most two networks at a time: the fastest so far and the next.
            del call, result
            gc.collect()
        return best[1:]


def main(library, description):
    """The command line of a script. `library` is a class; it is made after the options are
    read."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--model", metavar="NAME", default="all", help="the networks, separated by commas")
    add("--mode", choices=[*MODES, "all"], default="all")
    add("--batch", metavar="N", type=peer.positive, help="[default: as ours; inference also 1]")
    threads = os.cpu_count()
    add("--threads", metavar="T", type=peer.positive, default=threads, help="[default: %(default)s]")
    add("--runs", metavar="N", type=peer.positive, default=3, help="runs of each row [default: 3]")
    add("--peak", metavar="GFLOPS", type=float, help="FMA peak, for percent_of_peak")
    add("--csv", metavar="OUT", help="write the rows there [default: standard output]")
    serve = "read lines NAME,MODE,BATCH from standard input, and answer each with its row"
    add("--serve", action="store_true", help=serve)
    options = parser.parse_args()
    names = list(MODELS) if options.model == "all" else options.model.split(",")
    for name in names:
        if name not in MODELS:
            parser.error(f"no network is called {name}; they are {', '.join(MODELS)}")
    peer.warm_allocator()
    timer = Timer(library(options.threads), options)
    # Garbage is collected between networks, not in the midst of a call.
    gc.disable()
    write = peer.table(options.csv, COLUMNS)
    if options.serve:
        for line in sys.stdin:
            name, mode, batch = line.strip().split(",")
            write(timer.row(MODELS[name], mode, int(batch)))
        return
    for name in names:
        model = MODELS[name]
        for mode in MODES if options.mode == "all" else [options.mode]:
            usual = [model.batch] if mode == "train" else [model.batch, 1]
            for batch in [options.batch] if options.batch else usual:
                write(timer.row(model, mode, batch))
