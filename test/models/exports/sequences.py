"""Recurrent networks, attention and language models, as people write them in PyTorch."""
import math

import torch
import torch.nn.functional as F
from torch import nn


class LastHidden(nn.Module):
    """Classifies by a recurrent network's last hidden state."""

    def __init__(self, cell, **options):
        super().__init__()
        self.rnn = cell(3, 5, batch_first=True, **options)
        self.head = nn.Linear(5 * (2 if options.get('bidirectional') else 1), 4)

    def forward(self, x):
        _, hidden = self.rnn(x)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        if self.rnn.bidirectional:
            return self.head(torch.cat([hidden[-2], hidden[-1]], dim=1))
        return self.head(hidden[-1])


class EveryStep(nn.Module):
    """Uses a recurrent network's output at every time step."""

    def __init__(self, cell, **options):
        super().__init__()
        self.embed = nn.Linear(3, 4)
        self.rnn = cell(4, 5, batch_first=True, **options)
        self.attend = nn.Linear(5 * (2 if options.get('bidirectional') else 1), 1)
        self.head = nn.Linear(self.attend.in_features, 4)

    def forward(self, x):
        states, _ = self.rnn(torch.tanh(self.embed(x)))
        weights = torch.softmax(self.attend(states), dim=1)
        return self.head((weights * states).sum(1))


class CharLstm(nn.Module):
    """A character model: time first, a class at every step."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 8, num_layers=2)
        self.head = nn.Linear(8, 11)

    def forward(self, ids):
        states, _ = self.lstm(self.embed(ids).transpose(0, 1))
        return self.head(states.permute(1, 0, 2))


class Cells(nn.Module):
    """Recurrent cells called step by step."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTMCell(3, 5), nn.GRUCell(5, 4)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        a, c, b = x.new_zeros(x.size(0), 5), x.new_zeros(x.size(0), 5), x.new_zeros(x.size(0), 4)
        for t in range(x.size(1)):
            a, c = self.lstm(x[:, t], (a, c))
            b = self.gru(a, b)
        return self.head(b)


class Shared(nn.Module):
    """One layer applied three times, in the manner of ALBERT."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.block = nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.embed(x)
        for _ in range(3):
            x = self.norm(x + self.block(x))
        return self.head(x.mean(1))


class Encoder(nn.Module):
    """PyTorch's own transformer layers over sinusoidal positions."""

    def __init__(self, norm_first, layers=1, activation='relu'):
        super().__init__()
        self.embed = nn.Linear(3, 8)
        angle = torch.arange(6).unsqueeze(1) * torch.exp(torch.arange(0, 8, 2) * (-math.log(1e4) / 8))
        table = torch.zeros(6, 8)
        table[:, 0::2], table[:, 1::2] = torch.sin(angle), torch.cos(angle)
        self.register_buffer('positions', table)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x) + self.positions[: x.size(1)]).mean(dim=1))


class Seq2Seq(nn.Module):
    """Encoder and decoder layers with a causal mask and learned queries."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        self.queries = nn.Parameter(torch.randn(1, 4, 8))
        self.encoder = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.decoder = nn.TransformerDecoderLayer(8, 2, 12, dropout=0.0, batch_first=True, activation='gelu')
        self.head = nn.Linear(8, 9)

    def forward(self, ids):
        memory = self.encoder(self.embed(ids))
        queries = self.queries.repeat(ids.size(0), 1, 1)
        mask = torch.triu(torch.full((4, 4), float('-inf')), diagonal=1)
        return self.head(self.decoder(queries, memory, tgt_mask=mask))


class Gpt(nn.Module):
    """Hand-written causal attention in the manner of nanoGPT."""

    class Block(nn.Module):
        def __init__(self, width, heads, length):
            super().__init__()
            self.heads = heads
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.proj = nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            self.register_buffer('mask', torch.tril(torch.ones(length, length)).view(1, 1, length, length))

        def forward(self, x):
            B, T, C = x.size()
            q, k, v = self.qkv(self.ln1(x)).split(C, dim=2)
            q, k, v = (z.view(B, T, self.heads, C // self.heads).transpose(1, 2) for z in (q, k, v))
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = F.softmax(att.masked_fill(self.mask[:, :, :T, :T] == 0, float('-inf')), dim=-1)
            x = x + self.proj((att @ v).transpose(1, 2).contiguous().view(B, T, C))
            return x + self.mlp(self.ln2(x))

    def __init__(self, tied, vocabulary=13, width=8, length=8):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*[self.Block(width, 2, length) for _ in range(2)])
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.token.weight

    def forward(self, ids):
        position = torch.arange(0, ids.size(1), dtype=torch.long, device=ids.device)
        return self.head(self.ln(self.blocks(self.token(ids) + self.position(position))))


class Llama(nn.Module):
    """RMS normalisation, rotary positions, SwiGLU, and a mask made on the way."""

    def __init__(self, mask, width=8, heads=2):
        super().__init__()
        self.mask = mask
        self.heads = heads
        self.embed = nn.Embedding(13, width)
        self.gains = nn.ParameterList([nn.Parameter(torch.ones(width)) for _ in range(2)])
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(width, 12), nn.Linear(width, 12), nn.Linear(12, width)
        self.head = nn.Linear(width, 13, bias=False)

    @staticmethod
    def norm(x, gain):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * gain

    @staticmethod
    def rotate(x):
        half = x.shape[-1] // 2
        time = torch.arange(x.shape[2], dtype=x.dtype)
        angle = torch.outer(time, 1.0 / (100.0 ** (torch.arange(half, dtype=x.dtype) / half)))
        cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin

    def forward(self, ids):
        x = self.embed(ids)
        B, T, C = x.shape
        y = self.norm(x, self.gains[0])
        q, k, v = (z(y).reshape(B, T, self.heads, -1).permute(0, 2, 1, 3) for z in (self.q, self.k, self.v))
        q, k = self.rotate(q), self.rotate(k)
        scores = torch.einsum('bhid,bhjd->bhij', q, k) / math.sqrt(C // self.heads)
        if self.mask == 'compare':
            time = torch.arange(T)
            scores = scores.masked_fill(time.unsqueeze(1) < time.unsqueeze(0), torch.finfo(torch.float32).min)
        else:
            scores = scores + torch.full((T, T), float('-inf')).triu(1)
        y = torch.einsum('bhij,bhjd->bhid', scores.softmax(-1), v)
        x = x + self.o(y.permute(0, 2, 1, 3).reshape(B, T, C))
        y = self.norm(x, self.gains[1])
        return self.head(x + self.down(F.silu(self.gate(y)) * self.up(y)))


class Vit(nn.Module):
    """Patches by a strided convolution, a class token, nn.MultiheadAttention."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(1, 8, 4, 4)
        self.cls = nn.Parameter(torch.randn(1, 1, 8) * 0.1)
        self.position = nn.Parameter(torch.randn(1, 5, 8) * 0.1)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(x.shape[0], -1, -1), x), dim=1) + self.position
        y = self.norm(x)
        x = x + self.scale * self.attention(y, y, y, need_weights=False)[0]
        return self.head(x[:, 0])


class TextClassifier(nn.Module):
    """Padding (id 0) is masked out of attention and of the mean; any length of sequence."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 8, padding_idx=0)
        self.query = nn.Parameter(torch.randn(8))
        self.head = nn.Linear(26, 3)

    def forward(self, ids):
        x = self.embed(ids)
        real = ids != 0
        weights = torch.where(real, x @ self.query, torch.tensor(-1e4)).softmax(1)
        attended = torch.einsum('bt,btc->bc', weights, x)
        mask = real.unsqueeze(-1).float()
        mean = (x * mask).sum(1) / mask.sum(1).clamp(min=1.0)
        counts = F.one_hot(ids, 10).sum(1).to(x.dtype)
        return self.head(torch.cat([attended, mean, counts], dim=-1))
