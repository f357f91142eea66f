"""Trains the zoo's models in plain PyTorch and prints their losses; run by references.ts, which writes what is read here.

Usage: python3 references.py FOLDER. FOLDER/tasks.json lists, for each model, its task and its tensors in order; FOLDER/NAME.params
holds their values, NAME.x and NAME.y the samples. Prints JSON: for each model the outputs for its first batch and the losses of all
steps in float64, and those losses in float32.
"""

import json
import sys

import numpy
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
folder = sys.argv[1]


# The models, on tensors `p` as the ONNX file has them: fully connected weights are [in, out].


def linear(x, p, name):
    return F.linear(x, p[f"{name}.weight"].T, p.get(f"{name}.bias"))


def conv(x, p, name, **options):
    return F.conv2d(x, p[f"{name}.weight"], p.get(f"{name}.bias"), **options)


def softmax(x, p):
    return linear(x.flatten(1), p, "fc")


def mnist_mlp(x, p):
    return linear(F.relu(linear(x.flatten(1), p, "fc1")), p, "fc2")


def mnist_cnn(x, p):
    x = F.max_pool2d(F.relu(conv(x, p, "conv1")), 2)
    x = F.max_pool2d(F.relu(conv(x, p, "conv2")), 2)
    return linear(x.flatten(1), p, "fc")


def lenet5(x, p):
    x = F.avg_pool2d(torch.tanh(conv(x, p, "conv1", padding=2)), 2)
    x = F.avg_pool2d(torch.tanh(conv(x, p, "conv2")), 2)
    x = torch.tanh(linear(x.flatten(1), p, "fc1"))
    x = torch.tanh(linear(x, p, "fc2"))
    return linear(x, p, "fc3")


def resnet8_gn(x, p):
    def unit(x, name, stride=1):
        kernel = p[f"{name}.weight"].shape[-1]
        x = conv(x, p, name, stride=stride, padding=kernel // 2)
        return F.group_norm(x, 8, p[f"{name}.norm.weight"], p[f"{name}.norm.bias"])

    x = F.relu(unit(x, "stem"))
    for stage, stride in ((1, 1), (2, 2), (3, 2)):
        name = f"stage{stage}.0"
        shortcut = unit(x, f"{name}.shortcut", stride) if stride == 2 else x
        x = unit(F.relu(unit(x, f"{name}.conv1", stride)), f"{name}.conv2")
        x = F.relu(x + shortcut)
    return linear(x.mean((2, 3)), p, "fc")


def tabular(x, p):
    codes = x[:, :3].long()
    embedded = [F.embedding(codes[:, i], p[f"embedding{i + 1}.weight"]) for i in range(3)]
    x = torch.cat([*embedded, x[:, 3:]], 1)
    return linear(F.relu(linear(F.relu(linear(x, p, "fc1")), p, "fc2")), p, "fc3")


def char_gru(x, p):
    def torch_order(gates):
        """ONNX has update, reset, hidden; PyTorch reset, update, new."""
        update, reset, hidden = gates.chunk(3)
        return torch.cat([reset, update, hidden])

    bias_input, bias_hidden = p["gru.bias"][0].chunk(2)
    weights = [torch_order(w) for w in (p["gru.weight"][0], p["gru.recurrence"][0], bias_input, bias_hidden)]
    x = F.embedding(x, p["embedding.weight"])
    start = x.new_zeros(1, x.shape[0], weights[1].shape[1])
    # What nn.GRU calls: input, h0, weights, has_biases, layers, dropout, train, bidirectional, batch_first.
    x, _ = torch._VF.gru(x, start, weights, True, 1, 0.0, True, False, True)
    return linear(x, p, "head")


def char_gpt(x, p):
    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])

    def attention(x, name):
        x = x.transpose(0, 1)
        future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
        weights = [p[f"{name}.{part}"] for part in ("qkv.weight", "qkv.bias", "out.weight", "out.bias")]
        x, _ = F.multi_head_attention_forward(
            x, x, x, x.shape[-1], 4, weights[0].T, weights[1], None, None, False, 0.0, weights[2].T, weights[3], attn_mask=future
        )
        return x.transpose(0, 1)

    x = F.embedding(x, p["tokens.weight"]) + p["positions.weight"]
    for layer in (1, 2):
        name = f"layer{layer}"
        x = x + attention(norm(x, f"{name}.norm1"), f"{name}.attention")
        x = x + linear(F.gelu(linear(norm(x, f"{name}.norm2"), p, f"{name}.mlp.up")), p, f"{name}.mlp.down")
    return linear(norm(x, "norm"), p, "head")


def autoencoder(x, p):
    def grow(x, name):
        return F.conv_transpose2d(x, p[f"{name}.weight"], p[f"{name}.bias"], stride=2, padding=1)

    x = F.relu(conv(x, p, "encoder.conv1", stride=2, padding=1))
    x = F.relu(conv(x, p, "encoder.conv2", stride=2, padding=1))
    x = linear(x.flatten(1), p, "encoder.fc")
    x = F.relu(linear(x, p, "decoder.fc")).view(-1, 32, 7, 7)
    return torch.sigmoid(grow(F.relu(grow(x, "decoder.conv1")), "decoder.conv2"))


def loss_of(output, y, kind, labelSmoothing=0.0):
    if kind == "mse":
        return F.mse_loss(output, y)
    assert kind == "cross-entropy"
    # PyTorch takes classes on axis 1.
    return F.cross_entropy(output.movedim(-1, 1), y, label_smoothing=labelSmoothing)


def optimizer_of(parameters, o):
    rate, decay = o["learningRate"], o["weightDecay"]
    if o["kind"] == "sgd":
        return torch.optim.SGD(parameters, rate, o["momentum"], weight_decay=decay, nesterov=o["nesterov"])
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[o["kind"]]
    return make(parameters, rate, (o["beta1"], o["beta2"]), o["epsilon"], decay)


def read(file, shape, dtype):
    kind = numpy.float32 if dtype == "float32" else numpy.int32
    return torch.from_numpy(numpy.fromfile(f"{folder}/{file}", kind).reshape(-1, *shape).copy())


def train(model, task, precision):
    def as_used(values):
        return values.to(precision) if values.is_floating_point() else values.long()

    name = task["name"]
    shapes = [entry["shape"] for entry in task["parameters"]]
    parts = read(f"{name}.params", [], "float32").split([int(numpy.prod(shape)) for shape in shapes])
    p = {
        entry["name"]: as_used(values.view(shape)).clone().requires_grad_()
        for entry, values, shape in zip(task["parameters"], parts, shapes)
    }
    x = as_used(read(f"{name}.x", **task["x"]))
    y = as_used(read(f"{name}.y", **task["y"]))
    optimizer = optimizer_of(p.values(), task["optimizer"])
    clip = task["optimizer"]["clipNorm"]
    first, losses, norms = None, [], []
    for rows in task["index"]:
        optimizer.zero_grad()
        output = model(x[rows], p)
        if first is None:
            first = output.flatten().tolist()
        loss = loss_of(output, y[rows], **task["loss"])
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(p.values(), clip or float("inf"))))
        optimizer.step()
        losses.append(loss.item())
    return first, losses, norms


MODELS = {
    "softmax": softmax,
    "mnist-mlp": mnist_mlp,
    "mnist-cnn": mnist_cnn,
    "lenet5": lenet5,
    "resnet8-gn": resnet8_gn,
    "tabular": tabular,
    "char-gru": char_gru,
    "char-gpt": char_gpt,
    "autoencoder": autoencoder,
}

with open(f"{folder}/tasks.json", encoding="utf-8") as file:
    tasks = json.load(file)
results = {}
for task in tasks:
    model = MODELS[task["name"]]
    output, losses, norms = train(model, task, torch.float64)
    _, rough, _ = train(model, task, torch.float32)
    results[task["name"]] = {"output": output, "losses": losses, "float32": rough, "norms": norms}
json.dump({"version": torch.__version__, "models": results}, sys.stdout)
