"""Graph matrices of a layout, for graph convolutions.

`spatial_subsets` is the three-subset partition of ST-GCN (AAAI 2018) with which CTR-GCN (ICCV 2021) and related networks start.
Every joint is connected to itself, to its neighbour towards the root (inward), and to those away from it (outward).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poseglot.skeletons.layout import Layout

Matrix = npt.NDArray[np.float32]


def parent_matrix(layout: Layout) -> Matrix:
    """Return (V, V) with 1 at [child, parent]. `parent_matrix @ joints` puts each parent's position in its child's row."""
    matrix = np.zeros((len(layout), len(layout)), dtype=np.float32)
    for child, parent in layout.bone_pairs:
        matrix[child, parent] = 1
    return matrix


def spatial_subsets(layout: Layout) -> Matrix:
    """Return (3, V, V): self, inward and outward adjacency, normalised as A D^-1.

    Row u aggregates from column v. Inward has ones at [parent, child], outward at [child, parent]. Each column sums to 1, or to 0
    where it has no entry.
    """
    outward = parent_matrix(layout)
    return np.stack([np.eye(len(layout), dtype=np.float32), _by_column(outward.T), _by_column(outward)])


def _by_column(matrix: Matrix) -> Matrix:
    degree = matrix.sum(axis=0)
    result: Matrix = (matrix / np.where(degree > 0, degree, 1)).astype(np.float32)
    return result
