"""Exports the fixtures of this folder and writes what PyTorch makes of them to losses.json.

    /usr/bin/python3 test/models/exports/make.py [name...]

Each model is exported at opsets 13 and 17 and trained in float64 from the exported float32 weights. Data are made from their positions
alone (`hashes`), so that a test in another language sees the same numbers. Written with PyTorch 1.13; `npm run format` afterwards.
"""
import json
import sys
import warnings
import zlib
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.onnx import TrainingMode

# No __pycache__ among the fixtures.
sys.dont_write_bytecode = True
import sequences
import tables
import vision

FOLDER = Path(__file__).parent
OPSETS = [13, 17]
STEPS = 20
SAMPLES = 32
IGNORED = -100


def hashes(count):
    """The 32-bit mixer "lowbias32" (C. Wellons) of 0, 1, ..."""
    x = numpy.arange(count, dtype=numpy.uint64)
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x = ((x ^ (x >> numpy.uint64(shift))) * numpy.uint64(factor)) & numpy.uint64(0xFFFFFFFF)
    return x ^ (x >> numpy.uint64(15))


def uniform(hashes):
    """Between -2 and 2."""
    return (hashes / 2.0**30 - 2).astype(numpy.float32)


def inputs(spec):
    """`ids` below `size`, or uniform numbers, the first `codes` of each sample being ids below `size`."""
    shape = (SAMPLES, *spec['shape'])
    source = hashes(numpy.prod(shape)).reshape(shape)
    if spec['kind'] == 'ids':
        return torch.from_numpy((source % spec['size']).astype(numpy.int64))
    values, codes = uniform(source), spec.get('codes', 0)
    values[:, :codes] = source[:, :codes] % spec.get('size', 1)
    return torch.from_numpy(values)


def targets(spec, x):
    """
    What can be learnt: each follows from the input at the same place, scaled to the input's size. class: which of `size` equal parts
    of its range it is in; with `ignoreEvery` n each n-th is IGNORED. binary: in which half. number, tokens: itself.
    """
    shape = (SAMPLES, *spec['shape'])
    count = int(numpy.prod(shape))
    source = hashes(x.numel())[numpy.arange(count) * x.numel() // count]
    if spec['kind'] == 'number':
        return torch.from_numpy(uniform(source).reshape(shape))
    if spec['kind'] == 'binary':
        return torch.from_numpy((source >= 2**31).astype(numpy.float32).reshape(shape))
    ids = (source % spec['size'] if spec['kind'] == 'tokens' else source / 2.0**32 * spec['size']).astype(numpy.int64)
    if 'ignoreEvery' in spec:
        ids[spec['ignoreEvery'] - 1 :: spec['ignoreEvery']] = IGNORED
    return torch.from_numpy(ids.reshape(shape))


def loss_of(loss, output, y, ends):
    """In the words of the task manifest; `ends` says what the model itself already applied."""
    if loss['kind'] == 'cross-entropy':
        # PyTorch's loss wants the classes second, its sequence models have them last; a LogSoftmax does not mind a second one.
        scores = output.movedim(-1, 1) if ends == 'tokens' else output.log() if ends == 'softmax' else output
        weight = torch.tensor(loss['classWeights']) if 'classWeights' in loss else None
        smoothing = loss.get('labelSmoothing', 0.0)
        return F.cross_entropy(scores, y, weight=weight, ignore_index=loss.get('ignoreIndex', IGNORED), label_smoothing=smoothing)
    if loss['kind'] == 'bce':
        return F.binary_cross_entropy(output, y) if ends == 'sigmoid' else F.binary_cross_entropy_with_logits(output, y)
    if loss['kind'] == 'huber':
        return F.huber_loss(output, y, delta=loss.get('huberDelta', 1.0))
    return {'mse': F.mse_loss, 'l1': F.l1_loss}[loss['kind']](output, y)


def optimizer_of(options, parameters):
    kind, rest = options['kind'], {'lr': options['learningRate'], 'weight_decay': options.get('weightDecay', 0)}
    if kind == 'sgd':
        return torch.optim.SGD(parameters, momentum=options.get('momentum', 0), nesterov=options.get('nesterov', False), **rest)
    return {'adam': torch.optim.Adam, 'adamw': torch.optim.AdamW}[kind](parameters, **rest)


def reference(model, fixture, training):
    """Losses of STEPS steps over batches in order, and the mean loss over all samples before and after them, dropout off."""
    model = model.double()
    x = inputs(fixture['input'])
    y = targets(fixture['target'], x)
    x, y = (t.double() if t.is_floating_point() else t for t in (x, y))
    optimizer = optimizer_of(fixture['optimizer'], model.parameters())
    clip = fixture['optimizer'].get('clipNorm', 0)

    def evaluate():
        model.eval()
        with torch.no_grad():
            loss = loss_of(fixture['loss'], model(x), y, fixture['ends']).item()
        model.train(training)
        return loss

    before, losses = evaluate(), []
    for step in range(STEPS):
        rows = [(step * fixture['batch'] + i) % SAMPLES for i in range(fixture['batch'])]
        optimizer.zero_grad()
        loss = loss_of(fixture['loss'], model(x[rows]), y[rows], fixture['ends'])
        loss.backward()
        if clip > 0:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return {'before': before, 'losses': losses, 'after': evaluate()}


def fuse(model):
    """What the export of a model in eval mode does: a batch normalisation straight after a convolution goes into it."""
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for i, (first, second) in enumerate(zip(list(module), list(module)[1:])):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return model


def settle(model):
    """Running statistics and affine parameters as a trained model has them."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            ranges = ((module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2), (module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5))
            for tensor, low, high in ranges:
                tensor.data.uniform_(low, high, generator=generator)
    return model


def export(name, model, fixture, training):
    """Exporting runs the model once, which moves running statistics: all files, and `model` afterwards, hold them as they are then."""
    state = {key: value.clone() for key, value in model.state_dict().items()}
    x = inputs(fixture['input'])[: fixture['batch']]
    axes = {0: 'batch', **({1: 'time'} if fixture.get('anyLength') else {})}
    for opset in fixture['opsets']:
        model.load_state_dict(state)
        torch.onnx.export(
            model, x, str(FOLDER / f'{name}-{opset}.onnx'), opset_version=opset, input_names=['input'], output_names=['output'],
            training=TrainingMode.TRAINING if training else TrainingMode.EVAL, do_constant_folding=not training,
            dynamic_axes={'input': axes, 'output': axes if fixture.get('anyLength') else {0: 'batch'}},
        )


SGD = {'kind': 'sgd', 'learningRate': 0.1, 'momentum': 0.9}
NESTEROV = {'kind': 'sgd', 'learningRate': 0.05, 'momentum': 0.9, 'nesterov': True, 'weightDecay': 0.01}
PLAIN = {'kind': 'sgd', 'learningRate': 0.2}
CLIPPED = {'kind': 'sgd', 'learningRate': 0.3, 'momentum': 0.5, 'clipNorm': 0.5}
ADAM = {'kind': 'adam', 'learningRate': 0.01, 'weightDecay': 0.001}
ADAMW = {'kind': 'adamw', 'learningRate': 0.02, 'weightDecay': 0.1}
CROSS_ENTROPY = {'kind': 'cross-entropy'}


def sgd(rate):
    return {**SGD, 'learningRate': rate}


def numbers(*shape):
    return {'kind': 'uniform', 'shape': list(shape)}


def ids(size, *shape):
    return {'kind': 'ids', 'shape': list(shape), 'size': size}


def classes(size, *shape):
    return {'kind': 'class', 'shape': list(shape), 'size': size}


def values(kind, *shape):
    return {'kind': kind, 'shape': list(shape), 'size': int(numpy.prod(shape))}


def tokens(size, *shape, **more):
    return {'kind': 'tokens', 'shape': list(shape), 'size': size, **more}


def fixture(build, x, y, loss=CROSS_ENTROPY, optimizer=SGD, batch=8, training=True, ends=None, **more):
    """`training` says which export: for training, nothing folded, or for inference, as torch.onnx.export makes it when nothing is said."""
    settings = {'opsets': OPSETS, 'input': x, 'target': y, 'loss': loss, 'optimizer': optimizer, 'batch': batch, 'ends': ends}
    return build, training, {**settings, **more}


LSTM, GRU, RNN = nn.LSTM, nn.GRU, nn.RNN
#: An export does not say that the table of positions is a buffer.
BUT_POSITIONS = ['!positions']
FIXTURES = {
    'activations': fixture(tables.Activations, numbers(6), classes(4), training=False),
    'autoencoder': fixture(vision.AutoEncoder, numbers(1, 8, 8), values('number', 1, 8, 8), {'kind': 'mse'}, NESTEROV, 4, training=False),
    'cells': fixture(sequences.Cells, numbers(6, 3), classes(4), optimizer=sgd(0.2), training=False),
    'cnn-batchnorm': fixture(vision.Cnn, numbers(1, 8, 8), classes(5), optimizer=sgd(0.02)),
    'cnn-dropout': fixture(lambda: vision.Cnn(0.3), numbers(1, 8, 8), classes(5), optimizer=sgd(0.02), random=True),
    'cnn-inference': fixture(lambda: settle(vision.Cnn()), numbers(1, 8, 8), classes(5), optimizer=NESTEROV, training=False),
    'densenet': fixture(vision.DenseNet, numbers(2, 6, 6), classes(3), optimizer=sgd(0.02)),
    'densenet-inference': fixture(vision.DenseNet, numbers(2, 6, 6), classes(3), optimizer=sgd(0.05), training=False),
    'dilated': fixture(vision.Dilated, numbers(2, 9, 10), classes(3), {**CROSS_ENTROPY, 'labelSmoothing': 0.1}, training=False),
    'encoder-postnorm': fixture(
        lambda: sequences.Encoder(False, 2), numbers(6, 3), classes(4), optimizer=ADAMW, training=False, trainable=BUT_POSITIONS
    ),
    'encoder-prenorm': fixture(
        lambda: sequences.Encoder(True, 1, 'gelu'), numbers(6, 3), classes(4), optimizer=CLIPPED, trainable=BUT_POSITIONS
    ),
    'experts': fixture(
        tables.Experts, numbers(6), values('number', 2), {'kind': 'huber', 'huberDelta': 0.7},
        {**ADAM, 'learningRate': 0.03}, training=False,
    ),
    'gpt': fixture(lambda: sequences.Gpt(False), ids(13, 8), tokens(13, 8), optimizer=ADAMW, training=False, ends='tokens'),
    'gpt-any-length': fixture(lambda: sequences.Gpt(False), ids(13, 8), tokens(13, 8), training=False, ends='tokens', anyLength=True),
    'gpt-tied': fixture(
        lambda: sequences.Gpt(True), ids(13, 8), tokens(13, 8, ignoreEvery=4),
        {**CROSS_ENTROPY, 'ignoreIndex': IGNORED}, CLIPPED, ends='tokens',
    ),
    'groupnorm': fixture(vision.GroupNorms, numbers(2, 10, 10), classes(3), optimizer=NESTEROV, batch=4, training=False),
    'groupnorm-training': fixture(vision.GroupNorms, numbers(2, 10, 10), classes(3), optimizer=NESTEROV, batch=4),
    'gru': fixture(lambda: sequences.EveryStep(GRU, bidirectional=True), numbers(6, 3), classes(4), training=False),
    'gru-training': fixture(lambda: sequences.LastHidden(GRU, num_layers=2), numbers(6, 3), classes(4)),
    'layernorm': fixture(
        tables.LayerNorms, numbers(6), classes(4), {**CROSS_ENTROPY, 'classWeights': [1, 2, 0.5, 1]}, ADAM, training=False
    ),
    'llama': fixture(lambda: sequences.Llama('compare'), ids(13, 8), tokens(13, 8), optimizer=ADAM, training=False, ends='tokens'),
    # torch.triu has no form in opset 13.
    'llama-triu': fixture(
        lambda: sequences.Llama('triu'), ids(13, 8), tokens(13, 8), optimizer=ADAM, training=False, ends='tokens', opsets=[17]
    ),
    'lstm': fixture(lambda: sequences.LastHidden(LSTM), numbers(6, 3), classes(4), training=False),
    'lstm-bidirectional': fixture(
        lambda: sequences.LastHidden(LSTM, num_layers=2, bidirectional=True), numbers(6, 3), classes(4), training=False
    ),
    'lstm-characters': fixture(sequences.CharLstm, ids(11, 8), tokens(11, 8), optimizer=sgd(0.3), batch=4, training=False, ends='tokens'),
    'lstm-training': fixture(lambda: sequences.EveryStep(LSTM, bidirectional=True), numbers(6, 3), classes(4)),
    'mlp-l1': fixture(lambda: tables.mlp(3), numbers(6), values('number', 3), {'kind': 'l1'}, training=False),
    'mlp-log-softmax': fixture(lambda: tables.mlp(4, nn.LogSoftmax(1)), numbers(6), classes(4), training=False),
    'mlp-sigmoid': fixture(
        lambda: tables.mlp(1, nn.Sigmoid()), numbers(6), values('binary', 1), {'kind': 'bce'}, training=False, ends='sigmoid'
    ),
    'mlp-softmax': fixture(lambda: tables.mlp(4, nn.Softmax(dim=1)), numbers(6), classes(4), training=False, ends='softmax'),
    'mlp-squeezed': fixture(lambda: tables.mlp(1, nn.Flatten(0)), numbers(6), values('number'), {'kind': 'mse'}, training=False),
    'mobilenet': fixture(vision.MobileNet, numbers(3, 12, 12), classes(4), optimizer=sgd(0.05), batch=16),
    'mobilenet-inference': fixture(lambda: settle(vision.MobileNet()), numbers(3, 12, 12), classes(4), training=False),
    'resnet': fixture(vision.ResNet, numbers(3, 12, 12), classes(4), optimizer={**NESTEROV, 'learningRate': 0.02}, batch=16),
    'rnn-relu': fixture(lambda: sequences.LastHidden(RNN, nonlinearity='relu'), numbers(6, 3), classes(4), optimizer=PLAIN, training=False),
    'rnn-tanh': fixture(lambda: sequences.EveryStep(RNN, bidirectional=True, num_layers=2), numbers(6, 3), classes(4), training=False),
    'seq2seq': fixture(sequences.Seq2Seq, ids(9, 5), tokens(9, 4), optimizer=PLAIN, training=False, ends='tokens'),
    'shared': fixture(sequences.Shared, numbers(5, 3), classes(4), optimizer=sgd(0.05), training=False),
    'super-resolution': fixture(
        vision.SuperResolution, numbers(1, 6, 6), values('number', 1, 12, 12), {'kind': 'mse'}, batch=4, training=False
    ),
    'tabular': fixture(
        tables.Tabular, {**numbers(6), 'codes': 2, 'size': 5}, values('binary', 2), {'kind': 'bce'}, sgd(0.05), 16
    ),
    'tensors': fixture(tables.Tensors, numbers(12), classes(4), optimizer=sgd(0.02)),
    'text-classifier': fixture(sequences.TextClassifier, ids(10, 7), classes(3), optimizer=sgd(0.03), training=False, anyLength=True),
    'time-series': fixture(vision.TimeSeries, numbers(3, 16), classes(4), optimizer=sgd(0.02), batch=16),
    'unet': fixture(lambda: vision.UNet('size'), numbers(1, 8, 8), classes(3, 8, 8), optimizer=sgd(0.2), batch=4),
    'unet-bilinear': fixture(lambda: vision.UNet('bilinear'), numbers(1, 8, 8), classes(3, 8, 8), optimizer=sgd(0.1), batch=4),
    'unet-inference': fixture(
        lambda: settle(vision.UNet('scale')), numbers(1, 8, 8), classes(3, 8, 8),
        optimizer={**ADAM, 'learningRate': 0.02}, batch=4, training=False,
    ),
    'unet-transposed': fixture(lambda: vision.UNet(None), numbers(1, 8, 8), classes(3, 8, 8), optimizer=sgd(0.2), batch=4),
    'vit': fixture(sequences.Vit, numbers(1, 8, 8), classes(4), optimizer=sgd(0.03), training=False),
    'volume': fixture(vision.Volume, numbers(1, 6, 6, 6), classes(3), optimizer=sgd(0.02)),
    'wavenet': fixture(vision.WaveNet, numbers(1, 12), values('number', 1, 12), {'kind': 'mse'}, sgd(0.02)),
}


def main(names):
    warnings.filterwarnings('ignore')
    path = FOLDER / 'losses.json'
    results = json.loads(path.read_text()) if path.exists() and names else {}
    for name in names or FIXTURES:
        build, training, spec = FIXTURES[name]
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(zlib.crc32(name.encode()))
        model = build().train(training)
        export(name, model, spec, training)
        # Numbers that a model makes on its way (masks, positions) are to be float64 as well.
        torch.set_default_dtype(torch.float64)
        results[name] = {key: value for key, value in spec.items() if key != 'ends'}
        results[name].update(reference(model if training else fuse(model), spec, training))
        losses = results[name]['losses']
        print(f"{name}: {losses[0]:.4f} -> {losses[-1]:.4f}, evaluation {results[name]['before']:.4f} -> {results[name]['after']:.4f}")
    path.write_text(json.dumps(dict(sorted(results.items())), indent=1) + '\n')


if __name__ == '__main__':
    main(sys.argv[1:])
