"""Loops that bring blocked maps and weights into Winograd's tiles, and back (``kernels.winograd``).

Tiles of 2x2 results are numbered by rows: those of the first image, then those of the second. A group of
``R`` such rows is (16, C / block, R, K): 16 numbers for each tile, K = tiles in a row times the block.
All arrays are float32. They are in one file for the same reason as those of ``loops``.

What is done to a tile is written in vectors of the compiler's own: numba does not find them in loops over
so many arrays.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mindspore_dpus.models.kernels.machine_code import compiled, from_disk, interruptible

NUMBER_SIZE = 4  # Bytes of a float32.
PART = 1024  # So many weights stay in the first cache.
Matrix = list[list[object]]


class _Vectors:
    """Arithmetic on the vectors that a tile's numbers are, one for each block of channels."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.add, self.subtract = builder.fadd, builder.fsub
        self.negative = builder.fneg

    def source(self, d: Matrix) -> Matrix:
        """B^T d B: of 4x4 pixels."""

        def line(a, b, c, e):
            return [self.subtract(a, c), self.add(b, c), self.subtract(c, b), self.subtract(b, e)]

        return _both_ways(line, d)

    def result(self, m: Matrix) -> Matrix:
        """A^T m A: 2x2 results."""

        def line(a, b, c, e):
            return [self.add(self.add(a, b), c), self.subtract(self.subtract(b, c), e)]

        return _both_ways(line, m)

    def result_gradient(self, g: Matrix) -> Matrix:
        """A g A^T: of 2x2 results."""

        def line(a, b):
            return [a, self.add(a, b), self.subtract(a, b), self.negative(b)]

        return _both_ways(line, g)


def _both_ways(line: Callable[..., list], matrix: Matrix) -> Matrix:
    columns = [line(*column) for column in zip(*matrix, strict=True)]
    return [line(*row) for row in zip(*columns, strict=True)]


def _tile_loop(name: str, block: int, n_read: int, strip_is_read: bool) -> Callable:
    """A compiled loop over a row of tiles, between a strip of rows and the planes of 16 numbers.

    Args:
        name: of ``_Vectors``: what is done to each tile.
        block: channels in a vector.
        n_read: rows, and columns, that a tile has in the strip.
        strip_is_read: whether it goes from the strip to the planes.

    Returns:
        (strip, its row's length, planes, distance between planes, number of tiles); addresses and numbers,
        the lengths in float32. Tiles are two pixels apart.
    """

    @intrinsic
    def loop(typing_context, strip, line, planes, distance, number):
        def generate(context, builder, signature, arguments):
            strip, line, planes, distance, number = arguments
            vector = ir.VectorType(ir.FloatType(), block)
            word = arguments[0].type

            def place(address, offset):
                scaled = builder.mul(offset, word(NUMBER_SIZE))
                return builder.inttoptr(builder.add(address, scaled), vector.as_pointer())

            with cgutils.for_range(builder, number) as tile:
                in_strip = builder.mul(tile.index, word(2 * block))
                in_planes = builder.mul(tile.index, word(block))

                def pixel(y, x):
                    row = builder.mul(line, word(y))
                    here = builder.add(in_strip, word(x * block))
                    return place(strip, builder.add(row, here))

                def number_of(y, x):
                    plane = builder.mul(distance, word(4 * y + x))
                    return place(planes, builder.add(plane, in_planes))

                source, n, target = (
                    (pixel, n_read, number_of) if strip_is_read else (number_of, 4, pixel)
                )
                read = [
                    [builder.load(source(y, x), align=NUMBER_SIZE) for x in range(n)] for y in range(n)
                ]
                made = getattr(_Vectors(builder), name)(read)
                for y, row in enumerate(made):
                    for x, value in enumerate(row):
                        builder.store(value, target(y, x), align=NUMBER_SIZE)
            return context.get_dummy_value()

        whole = types.int64
        return types.void(whole, whole, whole, whole, whole), generate

    return loop


_source_16, _source_8 = (_tile_loop("source", block, 4, True) for block in (16, 8))
_result_16, _result_8 = (_tile_loop("result", block, 2, False) for block in (16, 8))
_gradient_16, _gradient_8 = (_tile_loop("result_gradient", block, 2, True) for block in (16, 8))


@compiled()
def _lay(maps, i, c, y, strip, x):
    """Rows of a map into a strip, from pixel x of the strip on; what lies outside is zero."""
    height, line, block = maps.shape[2], maps.shape[3] * maps.shape[4], maps.shape[4]
    for k in range(strip.shape[0]):
        if 0 <= y + k < height:
            read = maps[i, c, y + k].reshape(line)
            for j in range(line):
                strip[k, x * block + j] = read[j]
        else:
            strip[k] = 0


@interruptible
@from_disk
@compiled(nogil=True)
def to_tiles(maps, first, tiles):
    """Bring the 4x4 pixels that each tile's results come from into 16 numbers a channel.

    Args:
        maps: (N, C / block, H, W, block), padded by 1 in thought.
        first: the first row of tiles.
        tiles: (16, C / block, R, K), written; zero behind the last row. Lavin and Gray 2016, section 4.1:
            B^T d B.
    """
    n, channels, height, block = maps.shape[0], maps.shape[1], maps.shape[2], maps.shape[4]
    rows, line = tiles.shape[2], tiles.shape[3]
    high, distance = (height + 1) // 2, channels * rows * line
    strip = np.zeros((4, 2 * line + 2 * block), np.float32)
    for c in range(channels):
        for k in range(rows):
            i, y = (first + k) // high, 2 * ((first + k) % high)
            if i >= n:
                tiles[:, c, k] = 0
                continue
            _lay(maps, i, c, y - 1, strip, 1)
            told = strip.ctypes.data, strip.shape[1], tiles[0, c, k].ctypes.data, distance
            if block == 16:
                _source_16(told[0], told[1], told[2], told[3], line // block)
            else:
                _source_8(told[0], told[1], told[2], told[3], line // block)


@interruptible
@from_disk
@compiled(nogil=True)
def from_tiles(tiles, first, maps):
    """Results from the products of their tiles.

    Args:
        tiles: (16, C / block, R, K).
        first: the first row of tiles.
        maps: (N, C / block, H, W, block), these rows of it are written. Lavin and Gray 2016, section 4.1:
            A^T m A.
    """
    n, channels, height, width, block = maps.shape
    rows, line = tiles.shape[2], tiles.shape[3]
    high, distance = (height + 1) // 2, channels * rows * line
    strip = np.empty((2, 2 * line), np.float32)
    for c in range(channels):
        for k in range(rows):
            i, y = (first + k) // high, 2 * ((first + k) % high)
            if i >= n:
                break
            told = strip.ctypes.data, strip.shape[1], tiles[0, c, k].ctypes.data, distance
            if block == 16:
                _result_16(told[0], told[1], told[2], told[3], line // block)
            else:
                _result_8(told[0], told[1], told[2], told[3], line // block)
            for q in range(min(2, height - y)):
                written = maps[i, c, y + q].reshape(width * block)
                for j in range(width * block):
                    written[j] = strip[q, j]


@interruptible
@from_disk
@compiled(nogil=True)
def gradients_to_tiles(maps, first, tiles):
    """The gradients of the products from those of the results: the way back through ``from_tiles``.

    Args:
        maps: (N, C / block, H, W, block) gradients of the results.
        first: the first row of tiles.
        tiles: (16, C / block, R, K), written; zero behind the last row: A g A^T.
    """
    n, channels, height, block = maps.shape[0], maps.shape[1], maps.shape[2], maps.shape[4]
    rows, line = tiles.shape[2], tiles.shape[3]
    high, distance = (height + 1) // 2, channels * rows * line
    strip = np.zeros((2, 2 * line), np.float32)
    for c in range(channels):
        for k in range(rows):
            i, y = (first + k) // high, 2 * ((first + k) % high)
            if i >= n:
                tiles[:, c, k] = 0
                continue
            _lay(maps, i, c, y, strip, 0)
            told = strip.ctypes.data, strip.shape[1], tiles[0, c, k].ctypes.data, distance
            if block == 16:
                _gradient_16(told[0], told[1], told[2], told[3], line // block)
            else:
                _gradient_8(told[0], told[1], told[2], told[3], line // block)


@compiled()
def _spread(a, b, c, out0, out1, out2, out3):
    """G times three numbers, for a row of them."""
    half = np.float32(0.5)
    for j in range(a.size):
        out0[j] = a[j]
        out3[j] = c[j]
    for j in range(a.size):
        out1[j] = half * (a[j] + c[j]) + half * b[j]
    for j in range(a.size):
        out2[j] = half * (a[j] + c[j]) - half * b[j]


@compiled()
def _gather(a, b, c, d, out0, out1, out2):
    """G^T times four numbers, for a row of them."""
    half = np.float32(0.5)
    for j in range(a.size):
        out0[j] = a[j] + half * (b[j] + c[j])
    for j in range(a.size):
        out1[j] = half * (b[j] - c[j])
    for j in range(a.size):
        out2[j] = half * (b[j] + c[j]) + d[j]


@interruptible
@from_disk
@compiled(nogil=True)
def weights_to_tiles(weights, tiles):
    """Weights for the products of tiles.

    Args:
        weights: (9, size): each of the 3x3 places together.
        tiles: (16, size), written. Lavin and Gray 2016, section 4.1: G g G^T.
    """
    s = np.empty((12, PART), np.float32)
    for start in range(0, weights.shape[1], PART):
        end = min(start + PART, weights.shape[1])
        size = end - start
        for x in range(3):
            _spread(
                weights[x, start:end], weights[3 + x, start:end], weights[6 + x, start:end],
                s[x, :size], s[3 + x, :size], s[6 + x, :size], s[9 + x, :size],
            )  # fmt: skip
        for v in range(4):
            _spread(
                s[3 * v, :size], s[3 * v + 1, :size], s[3 * v + 2, :size],
                tiles[4 * v, start:end], tiles[4 * v + 1, start:end],
                tiles[4 * v + 2, start:end], tiles[4 * v + 3, start:end],
            )  # fmt: skip


@interruptible
@from_disk
@compiled(nogil=True)
def weights_from_tiles(tiles, weights):
    """The gradient of weights from that of what ``weights_to_tiles`` gave.

    Args:
        tiles: (16, size).
        weights: (9, size), written: G^T u G.
    """
    s = np.empty((12, PART), np.float32)
    for start in range(0, tiles.shape[1], PART):
        end = min(start + PART, tiles.shape[1])
        size = end - start
        for v in range(4):
            _gather(
                tiles[v, start:end], tiles[4 + v, start:end],
                tiles[8 + v, start:end], tiles[12 + v, start:end],
                s[v, :size], s[4 + v, :size], s[8 + v, :size],
            )  # fmt: skip
        for y in range(3):
            _gather(
                s[4 * y, :size], s[4 * y + 1, :size], s[4 * y + 2, :size], s[4 * y + 3, :size],
                weights[3 * y, start:end], weights[3 * y + 1, start:end], weights[3 * y + 2, start:end],
            )  # fmt: skip


_MAPS, _TILES, _FLAT = (types.Array(types.float32, d, "C") for d in (5, 4, 2))
# What they are called with, so that all are compiled when the first is (``machine_code.compile_here``).
EXPECTED = {
    "to_tiles": (_MAPS, types.int64, _TILES),
    "from_tiles": (_TILES, types.int64, _MAPS),
    "gradients_to_tiles": (_MAPS, types.int64, _TILES),
    "weights_to_tiles": (_FLAT, _FLAT),
    "weights_from_tiles": (_FLAT, _FLAT),
}
