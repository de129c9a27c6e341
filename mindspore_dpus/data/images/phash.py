"""Perceptual hashes: which of many images look alike, whatever their file, size or brightness.

The hash is the usual one of the discrete cosine transform (C. Zauner, Implementation and benchmarking
of perceptual image hash functions, 2010; ``phash`` of the ImageHash package) with 16 x 16 frequencies:
with 8 x 8, different chest radiographs come as near as 4 of 64 bits.
"""

import cv2
import numpy as np
import pandas as pd

SIDE = 64
FREQUENCIES = 16
BITS = FREQUENCIES * FREQUENCIES
# The sign of a coefficient that is next to nothing says nothing. So where an image is almost flat, equal
# bits are chance, and the coefficients themselves must agree too.
MIN_CORRELATION = 0.9
BLOCK = 2**23
# Squares of larger coefficients, summed in float32, would be infinite.
_HUGE = 1e15


def low_frequencies(image: np.ndarray) -> np.ndarray:
    """The lowest frequencies of an image of 64 x 64 pixels.

    Args:
        image: (H, W) grey or (H, W, 3) RGB, of any integer or floating-point type.

    Returns:
        (256,) float32, coefficients of the discrete cosine transform; the first is the mean's.
    """
    # OpenCV turns 8 and 16 bits to grey in whole numbers, and knows no other integers.
    if image.dtype.itemsize >= 4 and (peak := max(float(image.max()), -float(image.min()))) > _HUGE:
        image = image / np.float64(peak)  # only ratios count
    known = image if image.dtype in (np.uint8, np.uint16) else image.astype(np.float32)
    grey = cv2.cvtColor(known, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else known
    small = cv2.resize(grey.astype(np.float32, copy=False), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.dct(small)[:FREQUENCIES, :FREQUENCIES].reshape(-1)


def hash_bits(coefficients: np.ndarray) -> np.ndarray:
    """The hash of each image: (N, 256) bool, whether a coefficient is above the image's median.

    Args:
        coefficients: (N, 256), as ``low_frequencies`` gives them.
    """
    return coefficients > np.median(coefficients, axis=1, keepdims=True)


def near_duplicates(coefficients: np.ndarray, parts: np.ndarray, max_distance: int) -> pd.DataFrame:
    """For each image the most similar one before it: in its own part, and in an earlier part.

    Every pair is looked at, but as a product of matrices, a block of rows at a time: memory grows with
    the number of images, not with that of the pairs, and a thousand equal images give a thousand rows.

    Args:
        coefficients: (N, 256), as ``low_frequencies`` gives them.
        parts: (N,) int, never falling: the part (such as a split) of each image.
        max_distance: largest number of bits in which the hashes of two near duplicates differ.

    Returns:
        Columns ``image``, ``other`` (row numbers, ``other`` the smaller), ``distance`` (bits),
        ``across`` (whether the parts differ).
    """
    signs = np.where(hash_bits(coefficients), 1, -1).astype(np.float32)
    patterns = coefficients[:, 1:].astype(np.float32)
    patterns /= np.maximum(np.linalg.norm(patterns, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    step = max(1, BLOCK // max(1, len(signs)))
    nothing = -np.float32(BITS)
    found = []
    for first in range(0, len(signs), step):
        last = min(first + step, len(signs))
        # Equal bits less different ones.
        agreement = signs[first:last] @ signs[:last].T
        agreement[:, first:][np.triu_indices(last - first)] = nothing
        rows = np.flatnonzero(agreement.max(axis=1) >= BITS - 2 * max_distance)
        if not len(rows):
            continue
        agreement = agreement[rows]
        rows += first
        agreement[patterns[rows] @ patterns[:last].T < MIN_CORRELATION] = nothing
        same = parts[rows, None] == parts[None, :last]
        for across, allowed in ((False, same), (True, ~same)):
            candidates = np.where(allowed, agreement, nothing)
            nearest = candidates.argmax(axis=1)
            distance = ((BITS - candidates.max(axis=1)) / 2).astype(int)
            near = distance <= max_distance
            found.append(np.stack([rows, nearest, distance, np.full(len(rows), across)])[:, near])
    columns = np.concatenate([np.empty((4, 0), int), *found], axis=1)
    table = pd.DataFrame(dict(zip(("image", "other", "distance", "across"), columns, strict=True)))
    table["across"] = table["across"].astype(bool)
    return table.sort_values(["image", "across"], ignore_index=True)
