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


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    for make in (conv2d, pool, activations, affine, loss, optim, simple_convnet):
        make().write(folder)


if __name__ == "__main__":
    main()
