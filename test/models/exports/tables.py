"""Networks over rows of numbers, and one that uses many tensor functions at once."""
import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = [
    nn.ReLU(), nn.LeakyReLU(0.05), nn.ELU(1.2), nn.SELU(), nn.CELU(0.7), nn.GELU(), nn.GELU('tanh'), nn.SiLU(), nn.Mish(), nn.Hardswish(),
    nn.Hardsigmoid(), nn.Softplus(), nn.Softsign(), nn.Tanh(), nn.Sigmoid(), nn.ReLU6(), nn.Hardtanh(-0.8, 0.9), nn.LogSigmoid(),
    nn.Tanhshrink(), nn.Softshrink(0.3), nn.Hardshrink(0.3), nn.Softmin(1), nn.Identity(),
]


class Activations(nn.Module):
    """Every activation on its own slice of one layer."""

    def __init__(self):
        super().__init__()
        self.spread = nn.Linear(6, 3 * (len(ACTIVATIONS) + 2))
        self.activations = nn.ModuleList([*ACTIVATIONS, nn.PReLU(), nn.PReLU(3)])
        self.head = nn.Linear(self.spread.out_features, 4)

    def forward(self, x):
        parts = self.spread(x).chunk(len(self.activations), dim=1)
        return self.head(torch.cat([f(part) for f, part in zip(self.activations, parts)], 1))


def mlp(outputs, *end):
    return nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, outputs), *end)


class LayerNorms(nn.Module):
    """Residual blocks, normalised before and after, each scaled by a learned scalar (ReZero)."""

    def __init__(self):
        super().__init__()
        self.input = nn.Linear(6, 8)
        self.blocks = nn.ModuleList([nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8)) for _ in range(3)])
        self.alphas = nn.ParameterList([nn.Parameter(torch.tensor(0.1)) for _ in range(3)])
        self.norm = nn.LayerNorm(8, eps=1e-3)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.input(x)
        for alpha, block in zip(self.alphas, self.blocks):
            x = x + alpha * block(x)
        return self.head(self.norm(x))


class Tabular(nn.Module):
    """Two columns of category codes among numbers, all in one float row."""

    def __init__(self):
        super().__init__()
        self.colour = nn.Embedding(5, 3)
        self.region = nn.Embedding(5, 2)
        self.bn = nn.BatchNorm1d(4)
        self.body = nn.Sequential(nn.Linear(9, 12), nn.ReLU(), nn.BatchNorm1d(12), nn.Dropout(0.0), nn.Linear(12, 2))

    def forward(self, x):
        codes = x[:, :2].long()
        numbers = self.bn(x[:, 2:])
        return self.body(torch.cat([self.colour(codes[:, 0]), self.region(codes[:, 1]), numbers], 1))


class Experts(nn.Module):
    """A gate mixes stacked experts; the inputs are standardised by numbers kept as buffers."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(6, 3)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 2)) for _ in range(3)])

    def forward(self, x):
        x = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-3)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return torch.einsum('be,beo->bo', F.softmax(self.gate(x), -1), outputs)


class Tensors(nn.Module):
    """The tensor functions of hand-written models: reductions, comparisons, slices, shapes."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 12), nn.Linear(12, 12)
        self.scale = nn.Parameter(torch.ones(1))
        self.table = nn.Parameter(torch.randn(3, 4))
        self.head = nn.Linear(65, 4)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        B, n = a.size()
        grid = a.view(B, 3, n // 3)
        similar = F.cosine_similarity(grid, self.table.unsqueeze(0).expand(B, -1, -1), dim=2)
        reduced = [
            grid.var(dim=1), grid.std(dim=2), grid.norm(dim=2), grid.abs().mean(1), torch.logsumexp(grid, dim=2), grid.max(dim=2)[0],
            grid.min(dim=1).values, grid.norm(p=1, dim=1), (grid.abs() + 0.5).prod(dim=2), F.normalize(b, dim=1)[:, 1::5], similar,
            grid.topk(2, dim=2).values.flatten(1), grid.softmax(1).amin(1),
        ]
        clamped = torch.clamp(b, -0.5, 0.7) * self.scale + torch.max(a, b) - torch.min(a, b) / 2
        masked = torch.where(a > b, a * b, torch.exp(-b.abs())).masked_fill(x < -1.5, 0.25)
        shaped = masked.reshape(-1, 4, 3).permute(0, 2, 1).contiguous().view(B, -1) + self.table.repeat(1, 1).flatten()
        stepped = F.pad(shaped, (1, 1), value=0.5)[:, ::2].cumsum(dim=1)
        logs = torch.log(1 + a.pow(2)) + torch.sqrt(b * b + 1e-2) + torch.sin(a) * torch.atan(b) + torch.erf(a) + (x > 0).float() * a
        logs = logs + torch.sign(a) * b + torch.floor(b) * torch.cos(a) + a.round() * b
        gathered = torch.gather(logs, 1, torch.arange(n - 1, -1, -2).unsqueeze(0).expand(B, -1))
        swapped = torch.index_select(logs, 1, torch.tensor([3, 0, 3]))
        out = torch.cat([*reduced, clamped[:, -2:], stepped * 0.3, gathered, swapped], dim=1)
        return self.head(out)
