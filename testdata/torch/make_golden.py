"""Makes the golden files (*.safetensors) beside this script with PyTorch, in float64, on the CPU.

    python -m pip install -r requirements.txt
    python make_golden.py [FOLDER]

It may be started from any directory; FOLDER (by default the script's own) receives the files.
Two runs write the same bytes. README.md says what each file holds.
"""

import os
import sys
from pathlib import Path

# The plainest code path, so that the bytes depend as little as can be on the CPU. Both are read
# when torch is loaded.
os.environ["ATEN_CPU_CAPABILITY"] = "default"
os.environ["MKL_CBWR"] = "COMPATIBLE"

import torch
import torch.nn.functional as F
from safetensors.torch import save

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
torch.backends.mkldnn.enabled = False
torch.set_default_dtype(torch.float64)


class Golden:
    """The tensors of one file, and the source of its random numbers.

    Each file has its own generator: a case added to one leaves the others as they are.
    """

    def __init__(self, name, seed):
        self.name = name
        self.tensors = {}
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape, std=1.0):
        return std * torch.randn(*shape, generator=self.generator)

    def integers(self, low, high, *shape):
        return torch.randint(low, high, shape, generator=self.generator)

    def put(self, prefix="", /, **tensors):
        for key, value in tensors.items():
            self.put_named(f"{prefix}.{key}" if prefix else key, value)

    def put_named(self, name, value):
        assert name not in self.tensors, name
        value = torch.as_tensor(value)
        if value.dtype != torch.int64:
            value = value.to(torch.float64)
        # A copy: optimisers change their parameters in place.
        self.tensors[name] = value.detach().clone().contiguous()

    def write(self, folder):
        # One key only: the order of several is not fixed.
        made_by = {"made_by": f"PyTorch {torch.__version__.split('+')[0]}"}
        path = folder / f"{self.name}.safetensors"
        path.write_bytes(save(self.tensors, metadata=made_by))
        print(f"{path.name}: {len(self.tensors)} tensors, {path.stat().st_size} bytes")


def numbers(*values):
    return torch.tensor([float(v) for v in values])


def leaf(x):
    return x.detach().clone().requires_grad_(True)


def conv2d():
    g = Golden("conv2d", 1)
    # x (N, C, H, W), w (OC, C / groups, KH, KW), stride (h, w),
    # pad (top, left, bottom, right), dilation (h, w), groups
    one, none = (1, 1), (0, 0, 0, 0)
    cases = [
        ((2, 1, 12, 12), (3, 1, 5, 5), one, none, one, 1),  # 5x5, as on MNIST
        ((2, 3, 6, 6), (4, 3, 3, 3), one, (1, 1, 1, 1), one, 1),  # 3x3, pad 1
        ((2, 4, 5, 3), (3, 4, 1, 1), one, none, one, 1),  # 1x1
        ((2, 2, 7, 9), (3, 2, 3, 3), (2, 2), (1, 1, 1, 1), one, 1),  # stride 2, odd sizes
        ((2, 2, 8, 9), (3, 2, 2, 2), (3, 3), none, one, 1),  # stride above the kernel
        ((2, 2, 5, 6), (3, 2, 3, 3), one, (2, 0, 0, 1), one, 1),  # padded above and at the right
        ((2, 2, 9, 10), (3, 2, 3, 3), one, (1, 2, 1, 2), (2, 3), 1),  # dilation
        ((2, 4, 6, 5), (6, 2, 3, 3), one, (1, 1, 1, 1), one, 2),  # two groups
        ((2, 5, 7, 6), (5, 1, 3, 3), one, (1, 1, 1, 1), one, 5),  # depthwise
        ((2, 3, 1, 1), (2, 3, 3, 3), one, (1, 1, 1, 1), one, 1),  # an input of one pixel
        ((2, 3, 9, 11), (4, 3, 3, 5), (2, 3), (1, 2, 1, 2), one, 1),  # rectangular all over
        ((1, 1, 6, 6), (1, 1, 3, 3), one, none, one, 1),  # one image, one channel, one filter
        ((2, 6, 10, 9), (9, 2, 3, 2), (2, 1), (1, 0, 2, 3), (2, 3), 3),  # everything at once
        ((1, 2, 2, 2), (2, 2, 2, 2), one, (3, 3, 3, 3), one, 1),  # windows wholly in the padding
        ((2, 3, 7, 6), (5, 3, 1, 1), (2, 2), none, one, 1),  # 1x1 that skips pixels
        ((1, 2, 11, 10), (3, 2, 4, 5), (3, 3), (2, 1, 0, 1), one, 1),  # stride below the kernel
        ((2, 3, 8, 7), (6, 1, 3, 3), (2, 2), (0, 1, 1, 0), one, 3),  # two filters of each channel
        ((1, 3, 14, 13), (5, 3, 3, 3), one, (1, 1, 1, 1), one, 1),  # many tiles of 4x4
        ((1, 2, 10, 9), (3, 2, 3, 3), one, (2, 2, 2, 2), (2, 2), 1),  # dilation, the size kept
    ]
    for i, (x_shape, w_shape, stride, pad, dilation, groups) in enumerate(cases):
        x, w, b = leaf(g.normal(*x_shape)), leaf(g.normal(*w_shape)), leaf(g.normal(w_shape[0]))
        top, left, bottom, right = pad
        padded = F.pad(x, (left, right, top, bottom))
        y = F.conv2d(padded, w, b, stride=stride, dilation=dilation, groups=groups)
        dy = g.normal(*y.shape)
        y.backward(dy)
        geom = numbers(*stride, *pad, *dilation, groups)
        g.put(f"c{i:02}", x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad, db=b.grad, geom=geom)
    return g


def pool():
    g = Golden("pool", 2)

    def negative(*shape):
        # A padding of zeros would win over these.
        return -0.1 - g.normal(*shape).abs()

    def plateaus(*shape):
        return g.integers(0, 3, *shape).to(torch.float64)

    # input, kernel (h, w), stride (h, w), pad (h, w; each on both sides)
    cases = [
        (g.normal(2, 3, 6, 8), (2, 2), (2, 2), (0, 0)),  # the common one
        (g.normal(2, 2, 7, 9), (2, 2), (2, 2), (0, 0)),  # the last row and column left over
        (g.normal(2, 2, 7, 7), (3, 3), (2, 2), (0, 0)),  # overlapping
        (negative(2, 2, 6, 7), (3, 3), (2, 2), (1, 1)),  # overlapping and padded
        (g.normal(2, 2, 8, 8), (2, 2), (3, 3), (0, 0)),  # stride above the kernel
        (g.normal(1, 2, 7, 10), (3, 4), (1, 3), (1, 2)),  # rectangular all over
        (plateaus(2, 2, 6, 6), (2, 2), (2, 2), (0, 0)),  # ties
        (plateaus(2, 2, 7, 7), (3, 3), (2, 2), (1, 1)),  # ties, overlapping and padded
        (torch.zeros(1, 1, 5, 5), (3, 3), (1, 1), (1, 1)),  # nothing but ties
        (g.normal(2, 3, 5, 4), (5, 4), (5, 4), (0, 0)),  # the whole plane
        (negative(1, 1, 1, 1), (3, 3), (1, 1), (1, 1)),  # an input of one pixel
    ]
    for kind in ("max", "avg", "avg_without_pad"):
        for i, (x, kernel, stride, pad) in enumerate(cases):
            if kind == "avg_without_pad" and pad == (0, 0):
                continue  # the same as "avg"
            x = leaf(x)
            if kind == "max":
                y = F.max_pool2d(x, kernel, stride, pad)
            else:
                include = kind == "avg"
                y = F.avg_pool2d(x, kernel, stride, pad, count_include_pad=include)
            dy = g.normal(*y.shape)
            y.backward(dy)
            geom = numbers(*kernel, *stride, *pad)
            g.put(f"{kind}_{i:02}", x=x, y=y, dy=dy, dx=x.grad, geom=geom)
    return g


def activations():
    g = Golden("activations", 3)
    edges = {
        "relu": (0.0, -0.0, 0.0, 5e-324, -5e-324, 1000.0, -1000.0),
        "sigmoid": (0.0, -0.0, 40.0, -40.0, 1000.0, -1000.0, 1e-20, 700.0, -700.0),
        "tanh": (0.0, -0.0, 40.0, -40.0, 1000.0, -1000.0, 1e-20, 19.0, -19.0, 1e-5),
    }
    for name, first in edges.items():
        x = g.normal(2, 3, 4, 5, std=2.0)
        x.view(-1)[: len(first)] = torch.tensor(first)
        x = leaf(x)
        y = getattr(torch, name)(x)
        dy = g.normal(*y.shape)
        y.backward(dy)
        g.put(name, x=x, y=y, dy=dy, dx=x.grad)
    for name, slope in {"leaky_relu": 0.01, "leaky_relu_steep": 1.5}.items():
        x = g.normal(2, 3, 4, 5, std=2.0)
        x.view(-1)[:4] = torch.tensor((0.0, -0.0, 1000.0, -1000.0))
        x = leaf(x)
        y = F.leaky_relu(x, slope)
        dy = g.normal(*y.shape)
        y.backward(dy)
        g.put(name, x=x, y=y, dy=dy, dx=x.grad, slope=numbers(slope))
    return g


def affine():
    g = Golden("affine", 4)
    # batch, inputs, outputs
    for i, (n, inputs, outputs) in enumerate([(4, 6, 5), (1, 9, 4), (7, 33, 17)]):
        x, w = leaf(g.normal(n, inputs)), leaf(g.normal(outputs, inputs))
        b = leaf(g.normal(outputs))
        y = F.linear(x, w, b)
        dy = g.normal(*y.shape)
        y.backward(dy)
        g.put(f"a{i:02}", x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad, db=b.grad)
    return g


def loss():
    g = Golden("loss", 5)
    labels = g.integers(0, 10, 6)
    large = 1000.0 * (2 * g.integers(0, 2, 6, 10).to(torch.float64) - 1)
    # Whatever was drawn, both ends: certain and right, certain and wrong.
    large[0], large[1] = -1000.0, -1000.0
    large[0, labels[0]] = 1000.0
    large[1, (labels[1] + 1) % 10] = 1000.0
    wrong = torch.full((3, 4), -1000.0)
    wrong_labels = torch.tensor([0, 3, 1])
    for row, label in enumerate(wrong_labels.tolist()):
        wrong[row, (label + 1) % 4] = 0.0
    cases = {
        "random": (g.normal(6, 10, std=2.0), labels),
        "large": (large, labels),
        "wrong": (wrong, wrong_labels),
        "equal": (torch.full((1, 5), 3.0), torch.tensor([4])),
    }
    for name, (logits, labels) in cases.items():
        logits = leaf(logits)
        value = F.cross_entropy(logits, labels)
        value.backward()
        probabilities = F.softmax(logits, dim=1)
        g.put(
            name,
            logits=logits,
            labels=labels,
            loss=value,
            dlogits=logits.grad,
            probabilities=probabilities,
        )
    return g


def optim():
    g = Golden("optim", 6)
    steps, size = 10, 7
    start = g.normal(size)
    grads = g.normal(steps, size)
    # Where eps counts: an element that never has a gradient, one whose gradients are as small as
    # eps, one that has its first gradient late.
    grads[:, 0] = 0.0
    grads[:, 1] *= 1e-8
    grads[:4, 2] = 0.0
    grads[:, 3] *= 10.0
    # What is not named here is PyTorch's default.
    cases = {
        "sgd": (torch.optim.SGD, dict(lr=0.1)),
        "momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
        "momentum_wd": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.05)),
        "nesterov": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True)),
        "adagrad": (torch.optim.Adagrad, dict()),
        "rmsprop": (torch.optim.RMSprop, dict()),
        "adam": (torch.optim.Adam, dict()),
        "adam_wd": (torch.optim.Adam, dict(weight_decay=0.01)),
        "adamw": (torch.optim.AdamW, dict()),
    }
    for name, (optimiser_class, options) in cases.items():
        p = leaf(start)
        optimiser = optimiser_class([p], foreach=False, **options)
        trajectory = []
        for grad in grads:
            p.grad = grad.clone()
            optimiser.step()
            trajectory.append(p.detach().clone())
        g.put(name, p=start, grads=grads, trajectory=torch.stack(trajectory))
        used = optimiser.param_groups[0]  # the defaults included
        for key in ("lr", "momentum", "weight_decay", "alpha", "eps"):
            if key in used:
                g.put(name, **{key: numbers(used[key])})
        if "betas" in used:
            g.put(name, beta1=numbers(used["betas"][0]), beta2=numbers(used["betas"][1]))
    return g


def simple_convnet():
    g = Golden("simple_convnet", 7)
    x = leaf(g.normal(3, 1, 12, 12))
    labels = torch.tensor([4, 0, 2])
    # conv1 4 filters 3x3, pad 1 - relu - maxpool 2 - affine1 10 - relu - affine2 5
    parameters = {
        "conv1.weight": leaf(g.normal(4, 1, 3, 3, std=0.4)),
        "conv1.bias": leaf(g.normal(4, std=0.1)),
        "affine1.weight": leaf(g.normal(10, 4 * 6 * 6, std=0.1)),
        "affine1.bias": leaf(g.normal(10, std=0.1)),
        "affine2.weight": leaf(g.normal(5, 10, std=0.4)),
        "affine2.bias": leaf(g.normal(5, std=0.1)),
    }

    def forward():
        p = parameters
        out = F.relu(F.conv2d(x, p["conv1.weight"], p["conv1.bias"], padding=1))
        out = F.max_pool2d(out, 2).flatten(1)
        out = F.relu(F.linear(out, p["affine1.weight"], p["affine1.bias"]))
        return F.linear(out, p["affine2.weight"], p["affine2.bias"])

    logits = forward()
    value = F.cross_entropy(logits, labels)
    value.backward()
    g.put(x=x, labels=labels, logits=logits, loss=value)
    g.put("grad", x=x.grad)
    for name, p in parameters.items():
        g.put_named(name, p)
        g.put_named(f"grad.{name}", p.grad)

    adam = torch.optim.Adam(list(parameters.values()), lr=0.001, foreach=False)
    losses = []
    for _ in range(5):
        adam.zero_grad()
        value = F.cross_entropy(forward(), labels)
        value.backward()
        losses.append(value.item())
        adam.step()
    g.put(losses=numbers(*losses))
    for name, p in parameters.items():
        g.put_named(f"after5.{name}", p)
    return g


def ceil_pool():
    g = Golden("ceil_pool", 8)
    # input, kernel (h, w), stride (h, w), pad (h, w; each on both sides)
    cases = [
        ((2, 2, 7, 9), (2, 2), (2, 2), (0, 0)),  # the last row and column get windows
        ((2, 2, 8, 6), (3, 3), (2, 2), (0, 0)),  # overlapping
        ((1, 3, 6, 7), (3, 3), (2, 2), (1, 1)),  # overlapping and padded
        ((1, 2, 5, 8), (2, 3), (3, 4), (1, 1)),  # a window beyond the image is not added
        ((1, 2, 2, 3), (3, 4), (2, 2), (0, 0)),  # the kernel is larger than the image
        ((2, 2, 6, 6), (2, 2), (2, 2), (0, 0)),  # nothing is left over
    ]
    for kind in ("max", "avg", "avg_without_pad"):
        for i, (shape, kernel, stride, pad) in enumerate(cases):
            x = leaf(g.normal(*shape))
            if kind == "max":
                y = F.max_pool2d(x, kernel, stride, pad, ceil_mode=True)
            else:
                include = kind == "avg"
                y = F.avg_pool2d(x, kernel, stride, pad, True, include)
            dy = g.normal(*y.shape)
            y.backward(dy)
            geom = numbers(*kernel, *stride, *pad)
            g.put(f"{kind}_{i:02}", x=x, y=y, dy=dy, dx=x.grad, geom=geom)
    for i, shape in enumerate([(2, 3, 5, 4), (3, 2, 1, 1)]):
        x = leaf(g.normal(*shape))
        y = F.adaptive_avg_pool2d(x, 1)
        dy = g.normal(*y.shape)
        y.backward(dy)
        g.put(f"global_{i:02}", x=x, y=y, dy=dy, dx=x.grad)
    return g


def pad():
    g = Golden("pad", 9)
    modes = ("constant", "reflect", "replicate", "circular")
    # input, pad (top, left, bottom, right)
    cases = [
        ((2, 2, 5, 6), (1, 1, 1, 1)),
        ((1, 2, 4, 5), (3, 0, 2, 4)),  # as far as a reflection reaches
        ((2, 1, 3, 4), (0, 2, 0, 0)),  # one side alone
    ]
    for mode in modes:
        for i, (shape, (top, left, bottom, right)) in enumerate(cases):
            x = leaf(g.normal(*shape))
            value = -1.5 if mode == "constant" else None
            y = F.pad(x, (left, right, top, bottom), mode=mode, value=value)
            dy = g.normal(*y.shape)
            y.backward(dy)
            geom = numbers(top, left, bottom, right)
            g.put(f"{mode}_{i:02}", x=x, y=y, dy=dy, dx=x.grad, geom=geom)
    return g


def subsample():
    g = Golden("subsample", 10)
    # input, kernel (h, w), stride (h, w)
    cases = [
        ((3, 4, 8, 6), (2, 2), (2, 2)),  # LeNet's
        ((2, 3, 7, 9), (3, 2), (2, 3)),  # overlapping, with rows left over
    ]
    for i, (shape, kernel, stride) in enumerate(cases):
        x = leaf(g.normal(*shape))
        w, b = leaf(g.normal(shape[1])), leaf(g.normal(shape[1]))
        average = F.avg_pool2d(x, kernel, stride)
        y = average * w[:, None, None] + b[:, None, None]
        dy = g.normal(*y.shape)
        y.backward(dy)
        geom = numbers(*kernel, *stride)
        g.put(f"s{i:02}", x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad, db=b.grad, geom=geom)
    return g


def table_conv2d():
    g = Golden("table_conv2d", 11)
    # The channels that each filter sees, input, kernel.
    cases = [
        ([[0, 1], [2], [0, 1, 2], [2, 0]], (2, 3, 6, 7), (3, 3)),
        ([[3], [0, 2]], (3, 4, 5, 5), (2, 4)),
    ]
    for i, (table, shape, kernel) in enumerate(cases):
        x, b = leaf(g.normal(*shape)), leaf(g.normal(len(table)))
        w = leaf(g.normal(sum(map(len, table)), *kernel))
        filters, channels = zip(*((f, c) for f, seen in enumerate(table) for c in seen))
        everywhere = torch.zeros(len(table), shape[1], *kernel)
        everywhere = everywhere.index_put((torch.tensor(filters), torch.tensor(channels)), w)
        y = F.conv2d(x, everywhere, b)
        dy = g.normal(*y.shape)
        y.backward(dy)
        g.put(f"t{i:02}", x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad, db=b.grad)
        g.put(f"t{i:02}", filters=torch.tensor(filters), channels=torch.tensor(channels))
    return g


def lrn():
    g = Golden("lrn", 12)
    # input, size, alpha, beta, k. A large alpha, so that the neighbours count.
    cases = [
        ((2, 7, 3, 4), 5, 0.5, 0.75, 1.0),
        ((2, 6, 3, 3), 5, 5e-4, 0.75, 2.0),  # AlexNet's
        ((1, 6, 2, 5), 4, 2.0, 0.75, 1.0),  # one more channel before than after
        ((2, 5, 3, 3), 3, 1.0, 0.5, 0.5),  # another exponent
        ((1, 3, 4, 4), 9, 3.0, 1.25, 1.5),  # more neighbours than channels
        ((2, 4, 2, 2), 1, 1.0, 0.75, 1.0),  # none
        ((3, 1, 2, 3), 5, 1.0, 0.75, 1.0),  # one channel
        ((2, 5, 2, 3), 2, 1.0, 0.75, 1.0),  # the channel before alone
    ]
    for i, (shape, size, alpha, beta, k) in enumerate(cases):
        x = g.normal(*shape, std=2.0)
        x[0, 0, 0, 0] = 0.0
        x = leaf(x)
        y = F.local_response_norm(x, size, alpha, beta, k)
        dy = g.normal(*y.shape)
        y.backward(dy)
        g.put(f"l{i:02}", x=x, y=y, dy=dy, dx=x.grad, settings=numbers(size, alpha, beta, k))
    return g


def batch_norm():
    g = Golden("batch_norm", 13)
    # input, eps, momentum, mean of the input
    cases = [
        ((4, 3, 5, 6), 1e-5, 0.1, 0.0),
        ((5, 4, 1, 1), 1e-5, 0.1, 0.0),  # behind an affine layer
        ((1, 2, 3, 3), 1e-3, 0.5, 0.0),  # one image
        ((2, 2, 4, 3), 1e-5, 0.01, 100.0),  # far from 0
    ]
    for i, (shape, eps, momentum, mean) in enumerate(cases):
        x = g.normal(*shape, std=2.0) + mean
        channels = shape[1]
        w, b = g.normal(channels), g.normal(channels)
        running_mean, running_var = g.normal(channels) + mean, g.normal(channels).abs() + 0.5
        dy = g.normal(*shape)
        case = f"b{i:02}"
        g.put(case, x=x, w=w, b=b, dy=dy, settings=numbers(eps, momentum))
        g.put(case, running_mean=running_mean, running_var=running_var)
        # In evaluation first: training changes the running statistics.
        for mode in ("eval", "train"):
            training = mode == "train"
            x_leaf, w_leaf, b_leaf = leaf(x), leaf(w), leaf(b)
            y = F.batch_norm(
                x_leaf, running_mean, running_var, w_leaf, b_leaf, training, momentum, eps
            )
            y.backward(dy)
            g.put(f"{case}.{mode}", y=y, dx=x_leaf.grad, dw=w_leaf.grad, db=b_leaf.grad)
        g.put(f"{case}.after", running_mean=running_mean, running_var=running_var)
    return g


def log_softmax():
    g = Golden("log_softmax", 14)
    large = 1000.0 * (2 * g.integers(0, 2, 3, 4, 1, 1).to(torch.float64) - 1)
    cases = {"logits": g.normal(5, 10, 1, 1, std=3.0), "planes": g.normal(2, 3, 4, 2), "large": large}
    for name, x in cases.items():
        x = leaf(x)
        y = F.log_softmax(x, dim=1)
        dy = g.normal(*y.shape)
        y.backward(dy)
        g.put(name, x=x, y=y, dy=dy, dx=x.grad)
    return g


def smoothing():
    g = Golden("smoothing", 15)
    # logits, classes, smoothing
    for i, (n, classes, part) in enumerate([(6, 10, 0.1), (3, 4, 0.5), (2, 5, 1.0), (4, 3, 0.0)]):
        logits = leaf(g.normal(n, classes, std=3.0))
        labels = g.integers(0, classes, n)
        value = F.cross_entropy(logits, labels, label_smoothing=part)
        value.backward()
        g.put(f"s{i:02}", logits=logits, labels=labels, smoothing=numbers(part))
        g.put(f"s{i:02}", loss=value, dlogits=logits.grad)
    return g


def schedule():
    """What each scheduler multiplies the learning rate by, step by step."""
    g = Golden("schedule", 16)
    lr = torch.optim.lr_scheduler
    # epochs, steps per epoch, steps of warm-up, epochs of a step, factor of a step
    cases = [(4, 5, 0, 2, 0.1), (3, 7, 6, 1, 0.5), (2, 3, 5, 1, 0.25), (1, 1, 0, 1, 0.1)]
    for i, (epochs, per_epoch, warm_up, every, factor) in enumerate(cases):
        steps = epochs * per_epoch
        left = steps - warm_up
        schedulers = {
            "constant": lambda o: lr.ConstantLR(o, factor=1.0, total_iters=left),
            "linear": lambda o: lr.LinearLR(o, 1.0, 0.0, total_iters=left),
            "step": lambda o: lr.StepLR(o, every * per_epoch, gamma=factor),
            "cosine": lambda o: lr.CosineAnnealingLR(o, T_max=left),
        }
        case = f"s{i:02}"
        g.put(case, settings=numbers(epochs, per_epoch, warm_up, every, factor))
        for name, make in schedulers.items():
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            scheduler = make(optimizer)
            if warm_up:
                first = lr.LinearLR(optimizer, 1 / (warm_up + 1), 1.0, total_iters=warm_up)
                scheduler = lr.SequentialLR(optimizer, [first, make(optimizer)], [warm_up])
            factors = []
            for _ in range(steps):
                factors.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            g.put(case, **{name: numbers(*factors)})
    return g


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    layers = (conv2d, pool, activations, affine)
    more_layers = (ceil_pool, pad, subsample, table_conv2d, lrn, batch_norm, log_softmax)
    for make in (*layers, *more_layers, loss, smoothing, optim, schedule, simple_convnet):
        make().write(folder)


if __name__ == "__main__":
    main()
