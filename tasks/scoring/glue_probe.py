"""Probe embeddings on GLUE: fit a logistic regression to the embeddings of the train rows; the model is not changed.

The features of a pair of texts with embeddings u and v are [u, v, |u - v|, u * v] (InferSent, SentEval); those of a
single text are u. Features are scaled to mean 0 and variance 1 over the train rows. The strength of regularisation is
chosen by five-fold cross-validation on the train rows (on 20,000 of them if there are more), by the task's first
metric; then the regression is fitted to all train rows. STS-B needs no fit: the answer is the cosine similarity of u
and v, on the task's scale.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from evals.errors import InputError
from evals.records.embeddings import unpack
from evals.schema import Prediction, Predictions, Probe, Sample
from evals.statistics.clusters import Floats
from evals.tasks.glue_tasks import HIGHEST, TABLE
from evals.ties import first_of_largest

STRENGTHS = tuple(10.0**power for power in range(-5, 2))
"""Values of scikit-learn's C that are tried; smaller values regularise more strongly."""
FOLDS = 5
SEARCHED = 20_000
"""Maximum number of train rows in the search for C; the best C hardly depends on the number of rows."""
ITERATIONS = 2000
_SEED = 0

# Letters in the names of arrays: N rows, F features, L labels.


@dataclass(frozen=True)
class Head:
    """A fitted classifier of one task; the score of each label is linear in the features."""

    weights_LF: Floats
    offsets_L: Floats
    strength: float
    """The C that cross-validation chose."""

    def log_probabilities(self, features_F: NDArray[np.floating]) -> Floats:
        """Return the log-probability of each label, (L,)."""
        scores_L = self.weights_LF @ features_F + self.offsets_L
        return np.asarray(scores_L - np.logaddexp.reduce(scores_L))


def fit_probe(train: Sequence[Sample], embedded: Predictions) -> Probe:
    """Fit a classifier for each task to the embeddings of its train rows.

    Args:
        train: samples with targets, of one or several tasks (their label `task`), but not of STS-B.
        embedded: by sample id, the embeddings of its one or two texts.

    Returns:
        A function from a sample and its embeddings to a prediction. The output is the name of a label, with the
        log-probabilities of all labels as `scores`; for STS-B it is a number.
    """
    by_task: dict[str, list[Sample]] = defaultdict(list)
    for sample in train:
        by_task[sample.labels["task"]].append(sample)
    heads = {
        task: fit(
            task,
            np.stack([features(embedded[sample.id]) for sample in members]),
            np.array([TABLE[task].labels.index(sample.target) for sample in members]),
        )
        for task, members in by_task.items()
    }
    return lambda sample, predictions: _read(heads, sample, predictions)


def features(embedded: Sequence[Prediction]) -> NDArray[np.float32]:
    """Compute the features of a text or of a pair of texts from the embeddings.

    Example:
        >>> features([Prediction("0#0", [1.0, 2.0]), Prediction("0#1", [3.0, -2.0])])
        array([ 1.,  2.,  3., -2.,  2.,  4.,  3., -4.], dtype=float32)
    """
    first, *others = [unpack(prediction.output) for prediction in embedded]
    return np.concatenate([first, *(part for v in others for part in (v, np.abs(first - v), first * v))])


def fit(task: str, features_NF: NDArray[np.float32], labels_N: NDArray[np.integer]) -> Head:
    """Fit the classifier of a task, on one thread: on busy cores, threads that wait for each other take far longer.

    Args:
        task: a key of `TABLE`.
        features_NF: the features of the train rows; their order decides the folds.
        labels_N: the numbers of their labels.

    Raises:
        InputError: a label has fewer rows than there are folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    for number, label in enumerate(TABLE[task].labels):
        rows = int((labels_N == number).sum())
        if rows < FOLDS:
            raise InputError(f"{task}: {rows} of {len(labels_N)} train rows are {label}; a probe needs {FOLDS} or more")
    scaler = StandardScaler()
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        scaled_NF = scaler.fit_transform(features_NF)
        strength = _strength(task, scaled_NF, labels_N)
        model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(scaled_NF, labels_N)
    weights, offsets = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if len(weights) == 1:  # with two labels, scikit-learn has weights for the second only
        weights, offsets = np.concatenate([0 * weights, weights]), np.concatenate([0 * offsets, offsets])
    weights_LF = weights / scaler.scale_
    return Head(weights_LF, offsets - weights_LF @ scaler.mean_, strength)


def _strength(task: str, scaled_NF: NDArray[np.float32], labels_N: NDArray[np.integer]) -> float:
    """Choose scikit-learn's C by cross-validation; of equally good values, the smallest."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split

    if len(labels_N) > SEARCHED:
        scaled_NF, _, labels_N, _ = train_test_split(
            scaled_NF, labels_N, train_size=SEARCHED, stratify=labels_N, random_state=_SEED
        )
    search = GridSearchCV(
        LogisticRegression(max_iter=ITERATIONS),
        {"C": STRENGTHS},
        scoring="matthews_corrcoef" if TABLE[task].metrics[0] == "matthews" else "accuracy",
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED),
        refit=False,
    )
    return float(search.fit(scaled_NF, labels_N).best_params_["C"])


def _read(heads: Mapping[str, Head], sample: Sample, predictions: Sequence[Prediction]) -> Prediction:
    """Predict the answer of a sample from its embeddings."""
    failures = [prediction.failure for prediction in predictions if prediction.failure is not None]
    if failures:
        return Prediction(sample.id, failure=failures[0])
    task = TABLE[sample.labels["task"]]
    if not task.labels:
        first, second = (unpack(prediction.output).astype(np.float64) for prediction in predictions)
        lengths = np.linalg.norm(first) * np.linalg.norm(second)
        return Prediction(sample.id, HIGHEST * float(first @ second / lengths) if lengths else 0.0)
    scores = heads[task.name].log_probabilities(features(predictions)).tolist()
    return Prediction(sample.id, task.labels[first_of_largest(scores)], scores=tuple(scores))
