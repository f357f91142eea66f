"""Losses, optimizers and running statistics in plain PyTorch, in float64; run by objectives.ts, which writes what is read here.

Usage: python3 objectives.py < TASKS. Reads the cases with their data as JSON, prints their results by name as JSON.
"""

import json
import math
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def loss_of(output, labels, axis, kind, ignoreIndex=None, classWeights=None, labelSmoothing=0.0, huberDelta=1.0):
    if kind == "cross-entropy":
        weight = None if classWeights is None else torch.tensor(classWeights)
        ignored = -100 if ignoreIndex is None else ignoreIndex
        # PyTorch takes classes on axis 1.
        output = output.movedim(axis, 1)
        return F.cross_entropy(output, labels.view(-1, *output.shape[2:]), weight, None, ignored, None, "mean", labelSmoothing)
    labels = labels.view(output.shape)
    if kind == "bce":
        labels = labels * (1 - labelSmoothing) + labelSmoothing / 2
        no, yes = classWeights or (1, 1)
        return no * F.binary_cross_entropy_with_logits(output, labels, pos_weight=torch.tensor(yes / no))
    if kind == "huber":
        return F.huber_loss(output, labels, delta=huberDelta)
    return {"mse": F.mse_loss, "l1": F.l1_loss}[kind](output, labels)


def loss_case(shape, axis, scores, labels, loss, activation=None, **_):
    scores = torch.tensor(scores).view(shape).requires_grad_()
    output = {None: lambda x: x, "softmax": lambda x: x.softmax(-1), "sigmoid": torch.sigmoid}[activation](scores)
    value = loss_of(output, torch.tensor(labels), axis, **loss)
    value.backward()
    return {"loss": value.item(), "gradient": scores.grad.flatten().tolist()}


def optimizer_of(parameters, o):
    rate, decay = o["learningRate"], o["weightDecay"]
    if o["kind"] == "sgd":
        return torch.optim.SGD(parameters, rate, o["momentum"], weight_decay=decay, nesterov=o["nesterov"])
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[o["kind"]]
    return make(parameters, rate, (o["beta1"], o["beta2"]), o["epsilon"], decay)


def schedule_of(optimizer, o):
    """PyTorch's own where it has one; with a warm-up, which it has not, the factor by step."""
    kind, steps, factor, warmup = o["schedule"], o["scheduleSteps"], o["scheduleFactor"], o["warmupSteps"]
    if warmup == 0 and kind == "step":
        return torch.optim.lr_scheduler.StepLR(optimizer, steps, factor)
    if warmup == 0 and kind == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, factor * o["learningRate"])

    def factor_at(step):
        if step < warmup:
            return (step + 1) / warmup
        since = step - warmup
        if kind == "step":
            return factor ** (since // steps)
        if kind == "cosine":
            return factor if since >= steps else factor + (1 - factor) * (1 + math.cos(math.pi * since / steps)) / 2
        return 1

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor_at)


def train(model, tensors, x, y, index, optimizer):
    """`model` on x and the trained tensors `p` by name. Returns each step's rate and loss."""
    start = {name: value.clone() for name, value in tensors.items()}
    p = {name: value.requires_grad_() for name, value in tensors.items()}
    stepper = optimizer_of(p.values(), optimizer)
    schedule = schedule_of(stepper, optimizer)
    rates, losses = [], []
    for rows in index:
        stepper.zero_grad()
        loss = F.cross_entropy(model(x[rows], p), y[rows])
        loss.backward()
        for name, value in p.items():
            value.grad += optimizer["proximal"] * (value.detach() - start[name])
        if optimizer["clipNorm"] > 0:
            torch.nn.utils.clip_grad_norm_(p.values(), optimizer["clipNorm"])
        rates.append(stepper.param_groups[0]["lr"])
        stepper.step()
        schedule.step()
        losses.append(loss.item())
    return rates, losses


def read(tensors, x, y):
    values = {each["name"]: torch.tensor(each["values"]).view(each["shape"]) for each in tensors}
    return values, torch.tensor(x["values"]).view(x["shape"]), torch.tensor(y)


def plain(tensors):
    return {name: value.flatten().tolist() for name, value in tensors.items()}


def optimizer_case(tensors, x, y, index, optimizer, **_):
    tensors, x, y = read(tensors, x, y)
    rates, losses = train(lambda x, p: x @ p["w"] + p["c"], tensors, x, y, index, optimizer)
    return {"rates": rates, "losses": losses, "tensors": plain(tensors)}


def statistics_case(tensors, x, y, index, optimizer, dimensions, momentum, epsilon, frozen, **_):
    tensors, x, y = read(tensors, x, y)
    mean, var = tensors.pop("bn.mean"), tensors.pop("bn.var")

    def model(x, p, training=not frozen):
        x = x @ p["first"] if dimensions == 1 else F.conv2d(x, p["first"], padding=1)
        x = F.batch_norm(x, mean, var, p["bn.weight"], p["bn.bias"], training, momentum, epsilon)
        return torch.tanh(x).flatten(1) @ p["last"]

    _, losses = train(model, tensors, x, y, index, optimizer)
    output = model(x, tensors, training=False)
    return {
        "losses": losses,
        "tensors": plain({**tensors, "bn.mean": mean, "bn.var": var}),
        "output": output.flatten().tolist(),
        "evaluation": F.cross_entropy(output, y).item(),
    }


CASES = {"losses": loss_case, "optimizers": optimizer_case, "statistics": statistics_case}
tasks = json.load(sys.stdin)
results = {kind: {task["name"]: CASES[kind](**task) for task in tasks[kind]} for kind in CASES}
json.dump({"torch": torch.__version__, **results}, sys.stdout)
