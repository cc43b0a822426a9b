"""This file decides the linear probe: a logistic regression on standardised features.

N clips; n of them to learn from, m asked; F numbers of a vector; K classes.
"""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from everest.probes import scales

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)  # C: the inverse of the regularisation
ITERATIONS = 1000


class Linear:
    """Its C is the inverse strength of the penalty on weights, as scikit-learn counts it."""

    name = "linear"
    setting = "C"

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors  # (N, F)
        self.choices: tuple[float, ...] = STRENGTHS

    def answers(
        self,
        train: np.ndarray,
        labels: np.ndarray,
        classes: int,
        asked: np.ndarray,
        choices: Sequence[float],
    ) -> Iterator[np.ndarray]:
        present = np.unique(labels)
        if len(present) < 2:  # a part of a tiny set, where C is chosen within it
            only = np.zeros((len(asked), classes))
            only[:, present] = 1.0
            yield from (only for _ in choices)
            return
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        mean, scale = scales(self.vectors[train])
        known = (self.vectors[train] - mean) / scale
        questions = (self.vectors[asked] - mean) / scale
        if known.shape[1] > known.shape[0]:
            # The solution lies in the span of the clips: in their own n directions it is the same.
            basis, triangle = np.linalg.qr(known.T)  # (F, n), (n, n)
            known, questions = triangle.T, questions @ basis
        model = LogisticRegression(max_iter=ITERATIONS, warm_start=True)
        for choice in choices:
            model.set_params(C=choice)
            with warnings.catch_warnings():
                # Where hardly a penalty is left, stopping early is a penalty as good as any.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(known, labels)
            shares = np.zeros((len(asked), classes))
            shares[:, model.classes_] = model.predict_proba(questions)
            yield shares
