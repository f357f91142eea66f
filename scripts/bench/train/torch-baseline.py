"""Trains the benchmark's models with PyTorch on one thread. One request a line on stdin, one answer a line on stdout, both JSON:
{"open": name, "batch": B} builds a model and its data, {"steps": K} trains K steps and answers with the CPU seconds they took."""
import json
import os
import resource
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(1)


def blas():
    """The BLAS library that is mapped into this process: a Debian build links whichever libblas.so.3 the machine points to."""
    with open("/proc/self/maps") as maps:
        files = sorted({line.split()[-1] for line in maps if "/" in line})
    names = [os.path.realpath(name) for name in files if "blas" in os.path.basename(name) or "mkl" in os.path.basename(name)]
    if torch.backends.mkl.is_available():
        return "MKL"
    if any("openblas" in name for name in names) or "openblas" in torch.__config__.show().lower():
        return "OpenBLAS"
    return ", ".join(names) or "unknown BLAS"


class Cnn(nn.Sequential):
    """Two convolutions, each with its pool and then its ReLU, as the model that it is compared with has them."""

    def __init__(self, channels, kernel, pad, image):
        size = image
        layers = []
        for before, after in zip(channels, channels[1:]):
            layers += [nn.Conv2d(before, after, kernel, padding=pad), nn.MaxPool2d(2), nn.ReLU()]
            size = (size + 2 * pad - kernel + 1) // 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels[-1] * size * size, 10))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = (q @ k.transpose(-2, -1)) * (width // self.heads) ** -0.5
        attention = scores.masked_fill(mask, float("-inf")).softmax(-1)
        x = x + self.project((attention @ v).transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    """A pre-norm decoder as in GPT-2, without dropout."""

    def __init__(self, vocabulary, context, layers, heads, width):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("mask", torch.ones(context, context, dtype=torch.bool).triu(1))

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.norm(x)).flatten(0, 1)


MODELS = {
    "softmax": lambda: nn.Linear(784, 10),
    "mlp": lambda: nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
    "cnn": lambda: Cnn([1, 16, 32], 5, 0, 28),
    "cnn-padded": lambda: Cnn([1, 16, 32], 5, 2, 28),
    "cifar-cnn": lambda: Cnn([3, 32, 64], 3, 1, 32),
    "gpt": lambda: Gpt(65, 64, 2, 4, 64),
}


def samples(name):
    """Random samples: a step's time does not depend on their values."""
    if name == "gpt":
        return torch.randint(65, (2000, 64)), torch.randint(65, (2000, 64))
    shape = {"softmax": (784,), "mlp": (784,), "cifar-cnn": (3, 32, 32)}.get(name, (1, 28, 28))
    return torch.rand(2000, *shape), torch.randint(10, (2000,))


def open_model(name, batch):
    model = MODELS[name]()
    x, y = samples(name)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def train(steps):
        for rows in torch.randint(len(x), (steps, batch)):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(x[rows]), y[rows].flatten()).backward()
            optimizer.step()

    return train


train = None
for line in sys.stdin:
    request = json.loads(line)
    if "open" in request:
        train = open_model(request["open"], request["batch"])
        torch.rand(8, 8) @ torch.rand(8, 8)
        answer = {"is": f"PyTorch {torch.__version__} with {blas()}"}
    else:
        before, wall = time.process_time(), time.perf_counter()
        train(request["steps"])
        answer = {"seconds": time.process_time() - before, "wall": time.perf_counter() - wall}
        answer["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(answer), flush=True)
