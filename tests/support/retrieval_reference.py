"""Reference for retrieval metrics: recall and ranks from the whole similarity matrix, not by the tested code."""

from __future__ import annotations

import numpy as np


def brute_force(samples, vectors, shared=False):
    """Recalls from the whole matrix, sorted; of equals the wrong ones first; by no line of the code under test."""
    texts = [(s.id, text, f"{s.id}#{n}") for s in samples for n, text in enumerate(s.target)]
    images = [s.id for s in samples]
    a = np.stack([vectors(id) for id in images]).astype(np.float64)
    b = np.stack([vectors(id) for _, _, id in texts]).astype(np.float64)
    a /= np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-30)
    b /= np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-30)
    likeness = np.round(a @ b.T, 6)
    own = np.array([[owner == image for owner, _, _ in texts] for image in images])
    if shared:
        own = np.array([[text in s.target for _, text, _ in texts] for s in samples])

    def first(row, right):
        return min(int((row[~right] >= best).sum()) + 1 for best in [row[right].max()])

    forth = np.array([first(row, right) for row, right in zip(likeness, own, strict=True)])
    back = np.array([first(row, right) for row, right in zip(likeness.T, own.T, strict=True)])
    return {
        f"{name}/recall@{k}": float(np.mean(ranks <= k))
        for name, ranks in (("image-to-text", forth), ("text-to-image", back))
        for k in (1, 5, 10)
    } | {"image-to-text/median-rank": float(np.median(forth)), "text-to-image/median-rank": float(np.median(back))}
