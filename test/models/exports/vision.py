"""Networks over images and signals, as people write them in PyTorch."""
import torch
import torch.nn.functional as F
from torch import nn


def conv_bn(inputs, outputs, kernel=3, stride=1, groups=1, activation=nn.ReLU6):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs), activation()
    )


class Cnn(nn.Module):
    """The first network of most tutorials, with batch normalisation."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(dropout),
        )
        self.fc1 = nn.Linear(8 * 2 * 2, 16)
        self.drop = nn.Dropout(dropout)
        self.fc2 = nn.Linear(16, 5)

    def forward(self, x):
        x = torch.flatten(self.features(x), 1)
        return self.fc2(self.drop(F.relu(self.fc1(x))))


class InvertedResidual(nn.Module):
    def __init__(self, channels, expand):
        super().__init__()
        hidden = channels * expand
        self.body = nn.Sequential(
            conv_bn(channels, hidden, 1), conv_bn(hidden, hidden, 3, groups=hidden),
            nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return x + self.body(x)


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.down = nn.Conv2d(channels, 2, 1)
        self.up = nn.Conv2d(2, channels, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.up(F.relu(self.down(self.pool(x)))))


class MobileNet(nn.Module):
    """Depthwise separable and grouped convolutions, ReLU6, squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, 8, 3, 2)
        self.block = InvertedResidual(8, 2)
        self.excite = SqueezeExcite(8)
        self.grouped = conv_bn(8, 8, 3, groups=4, activation=nn.Hardswish)
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(8, 4))

    def forward(self, x):
        x = self.grouped(self.excite(self.block(self.stem(x))))
        return self.classifier(x.mean([2, 3]))


class ResNet(nn.Module):
    """Basic blocks with a strided shortcut."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Identity()
            if stride != 1:
                self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x):
            out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            out += self.shortcut(x)
            return F.relu(out)

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 5, 1, 2, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.layers = nn.Sequential(self.Block(6, 6, 1), self.Block(6, 8, 2))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = self.pool(self.layers(self.stem(x)))
        return self.fc(x.view(x.size(0), -1))


class DenseNet(nn.Module):
    """Normalises before it convolves: an export for inference has to keep its batch normalisation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4 + 2 * i) for i in range(3)])
        self.convs = nn.ModuleList([nn.Conv2d(4 + 2 * i, 2, 3, padding=1, bias=False) for i in range(2)])
        self.fc = nn.Linear(8 * 3 * 3, 3)

    def forward(self, x):
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs):
            x = torch.cat([x, conv(F.relu(norm(x)))], 1)
        x = F.avg_pool2d(F.relu(self.norms[-1](x)), 2)
        return self.fc(x.flatten(1))


class Dilated(nn.Module):
    """Dilation, uneven strides, kernels and padding, every kind of pooling."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(2, 0))
        self.conv2 = nn.Conv2d(4, 6, 3, padding=2, dilation=2)
        self.conv3 = nn.Conv2d(6, 4, 3, padding=1)
        self.act = nn.PReLU(6)
        self.max = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.avg = nn.AvgPool2d((2, 3), stride=(1, 2), padding=(1, 1), count_include_pad=False)
        self.adaptive = nn.AdaptiveAvgPool2d((1, 3))
        self.fc = nn.Linear(12, 3)

    def forward(self, x):
        x = F.leaky_relu(self.conv1(x), 0.1)
        x = self.max(self.act(self.conv2(x)))
        x = self.avg(F.elu(self.conv3(x)))
        return self.fc(torch.flatten(self.adaptive(x), 1))


class TimeSeries(nn.Module):
    """Residual 1-D convolutions, batch normalisation, max and average pooling over time."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(3, 8, 5, padding=2)
        self.bn1 = nn.BatchNorm1d(8)
        self.conv2 = nn.Conv1d(8, 8, 3, padding=2, dilation=2)
        self.bn2 = nn.BatchNorm1d(8, momentum=0.3, eps=1e-3)
        self.pool = nn.MaxPool1d(2)
        self.fc = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8, affine=False), nn.SiLU(), nn.Linear(8, 4))

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = x + F.relu(self.bn2(self.conv2(x)))
        return self.fc(torch.cat([F.adaptive_avg_pool1d(x, 1), F.adaptive_max_pool1d(x, 1)], 1).squeeze(-1))


class WaveNet(nn.Module):
    """Causal, dilated, gated convolutions; one prediction for each time step."""

    def __init__(self):
        super().__init__()
        self.input = nn.Conv1d(1, 6, 1)
        self.gates = nn.ModuleList([nn.utils.weight_norm(nn.Conv1d(6, 12, 2, dilation=2**i)) for i in range(3)])
        self.mix = nn.ModuleList([nn.Conv1d(6, 6, 1) for _ in range(3)])
        self.scale = nn.Parameter(torch.zeros(()))
        self.output = nn.Conv1d(6, 1, 1)

    def forward(self, x):
        x = self.input(x)
        skips = 0
        for i, (gate, mix) in enumerate(zip(self.gates, self.mix)):
            a, b = gate(F.pad(x, (2**i, 0))).chunk(2, 1)
            y = mix(torch.tanh(a) * torch.sigmoid(b))
            x = x + y
            skips = skips + y
        return self.output(F.relu(skips) + self.scale * F.glu(torch.cat([x, x.flip(1)], 1), 1))


class AutoEncoder(nn.Module):
    """Strided convolutions down, transposed ones up."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ELU(), nn.Conv2d(4, 6, 3, 2, 1), nn.ELU())
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1), nn.ELU(),
            nn.ConvTranspose2d(4, 4, 2, 2, groups=2, bias=False), nn.Tanh(),
            nn.ConvTranspose2d(4, 1, 3, padding=2, dilation=2),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


class UNet(nn.Module):
    """Skips by concatenation; a class for every pixel."""

    @staticmethod
    def twice(inputs, outputs):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(),
        )

    def __init__(self, resize):
        super().__init__()
        self.down = self.twice(1, 4)
        self.bottom = self.twice(4, 6)
        self.up = nn.ConvTranspose2d(6, 6, 2, 2) if resize is None else nn.Identity()
        self.resize = resize
        self.merge = self.twice(10, 4)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        skip = self.down(x)
        x = self.up(self.bottom(F.max_pool2d(skip, 2)))
        if self.resize == 'scale':
            x = nn.Upsample(scale_factor=2, mode='nearest')(x)
        if self.resize == 'bilinear':
            x = nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)(x)
        if self.resize == 'size':
            x = F.interpolate(x, size=skip.shape[2:], mode='nearest')
        x = self.head(self.merge(torch.cat([skip, x], dim=1)))
        return F.log_softmax(x, dim=1) if self.resize is None else x


class GroupNorms(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(2, 8, 3), nn.GroupNorm(2, 8), nn.SiLU(),
            nn.Conv2d(8, 6, 3), nn.InstanceNorm2d(6, affine=True), nn.Mish(),
            nn.Conv2d(6, 6, 3, padding=1), nn.InstanceNorm2d(6), nn.LeakyReLU(0.2),
            nn.Conv2d(6, 6, 1), nn.GroupNorm(1, 6, affine=False), nn.LocalResponseNorm(3),
        )
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        return self.fc(self.body(x).amax(dim=(2, 3)))


class SuperResolution(nn.Module):
    """Sub-pixel convolution."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2, padding_mode='replicate')
        self.conv2 = nn.Conv2d(6, 4, 3, padding=1, padding_mode='reflect')
        self.shuffle = nn.PixelShuffle(2)
        self.skip = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        fine = torch.sigmoid(self.shuffle(self.conv2(torch.tanh(self.conv1(x)))))
        return fine + F.interpolate(self.skip(x), scale_factor=2.0, mode='bilinear', align_corners=False)


class Volume(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv3d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm3d(4)
        self.conv2 = nn.Conv3d(4, 4, (1, 3, 3), groups=2)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = F.max_pool3d(F.relu(self.bn(self.conv1(x))), 2)
        x = F.avg_pool3d(F.softplus(self.conv2(x)), (2, 1, 1))
        return self.fc(x.mean((2, 3, 4)))
