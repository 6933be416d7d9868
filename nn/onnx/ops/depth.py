"""DepthToSpace and SpaceToDepth: convolutions by 0 and 1, so that codes only move."""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import image
from weft.nn.onnx.model import Node
from weft.nn.onnx.symbols import Codes, Constant, Real, Symbol

MAX_WEIGHTS = 1 << 24
MODES = ("DCR", "CRD")


def depth_to_space(node: Node, builder: Builder) -> Symbol:
    """Channels become rows and columns: each block of an image out of b * b channels."""
    symbol = builder.symbol(node, 0)
    channels, height, width, block = _sizes(node, symbol)
    if channels % (block * block):
        raise ModelError(
            f"{channels} channels are no multiple of attribute 'blocksize' = {block} squared",
            at=node,
        )
    depth = channels // (block * block)
    source = _channels_of_block(node, block, depth)
    if isinstance(symbol, Constant):
        blocks = symbol.array[:, source].transpose(0, 3, 4, 1, 5, 2)
        shape = (symbol.shape[0], depth, height * block, width * block)
        return Constant(array=blocks.reshape(shape))
    _check_size(node, channels * channels)
    weight = np.zeros((depth, channels, block, block), np.int16)
    y, x, c = np.indices(source.shape)
    weight[c, source, block - 1 - y, block - 1 - x] = 1
    edge = block - 1
    window = Window(kernel=(block, block), pads=(edge, edge, edge, edge), stretch=(block, block))
    return _copied(node, builder, symbol, weight, window)


def space_to_depth(node: Node, builder: Builder) -> Symbol:
    """Rows and columns become channels: b * b of them out of each block of an image."""
    symbol = builder.symbol(node, 0)
    channels, height, width, block = _sizes(node, symbol)
    if height % block or width % block:
        raise ModelError(
            f"an image of {height} x {width} is no multiple of attribute 'blocksize' = {block}",
            at=node,
        )
    target = _channels_of_block(node, block, channels)
    if isinstance(symbol, Constant):
        shape = (symbol.shape[0], channels, height // block, block, width // block, block)
        blocks = symbol.array.reshape(shape).transpose(0, 3, 5, 1, 2, 4)
        blocks = blocks.reshape(shape[0], target.size, *shape[2:5:2])
        return Constant(array=blocks[:, np.argsort(target.reshape(-1))])
    _check_size(node, channels * channels * block * block)
    weight = np.zeros((target.size, channels, block, block), np.int16)
    y, x, c = np.indices(target.shape)
    weight[target, c, y, x] = 1
    window = Window(kernel=(block, block), stride=(block, block))
    return _copied(node, builder, symbol, weight, window)


def _channels_of_block(node: Node, block: int, depth: int) -> np.ndarray:
    """Which of the many channels each element of a block is: [block, block, depth]."""
    mode = node.text("mode", "DCR")
    if mode not in MODES:
        raise ModelError(
            f"attribute 'mode' is {mode!r}", remedy="DCR and CRD are supported", at=node
        )
    channels = np.arange(block * block * depth)
    if mode == "DCR":
        return channels.reshape(block, block, depth)
    return channels.reshape(depth, block, block).transpose(1, 2, 0)


def _sizes(node: Node, symbol: Symbol) -> tuple[int, int, int, int]:
    """Channels, height and width of the input, and the block's size."""
    block = node.integer("blocksize", 0)
    shape = symbol.shape
    if len(shape) != 4 or not 1 <= block <= 1 << 8:
        raise ModelError(
            f"input of shape {list(shape)} and attribute 'blocksize' = {block}",
            remedy="images [N, C, H, W] and blocks of 1 to 256 are supported",
            at=node,
        )
    return shape[1], shape[2], shape[3], block


def _check_size(node: Node, n_weights: int) -> None:
    if n_weights > MAX_WEIGHTS:
        raise ModelError(
            f"would take {n_weights:,} weights of 0 and 1",
            remedy=f"up to {MAX_WEIGHTS:,} are supported",
            at=node,
        )


def _copied(
    node: Node, builder: Builder, symbol: Symbol, weight: np.ndarray, window: Window
) -> Symbol:
    """Codes that a convolution by 0 and 1 puts in other places."""
    value = symbol if isinstance(symbol, Codes | Real) else builder.real(node, 0)
    source = builder.tensors[image(builder, node, value)]
    low, high = builder.ranges[source.name]
    shape = (len(weight), *window.output_size(*source.shape[1:]))
    output = source.replace(name=builder.names.new(f"{node.outputs[0]}_codes"), shape=shape)
    operator = Conv(
        name=node.name,
        output=output.name,
        input=source.name,
        weight=weight,
        bias=np.zeros(len(weight), np.int64),
        scaling=scaling_of(1.0),
        window=window,
        low=low,
        high=high,
    )
    builder.add(node.origin, operator, output, builder.quantisations[source.name])
    return replace(value, tensor=output.name, shape=(1, *shape), order=None)
