"""Trains a classifier on Fisher's Iris data, which scikit-learn brings along, and stores it."""

import pathlib
import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(target: pathlib.Path) -> None:
    iris = load_iris()
    rows, tests, labels, wanted = train_test_split(
        iris.data, iris.target, test_size=0.2, random_state=7, stratify=iris.target
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(rows, labels)
    accuracy = model.score(tests, wanted)
    print(f"accuracy on {len(tests)} unseen flowers: {accuracy:.3f}")
    if accuracy < 0.9:
        sys.exit("the model is worse than it should be")
    target.parent.mkdir(parents=True, exist_ok=True)
    names = [str(name) for name in iris.target_names]
    joblib.dump({"model": model, "names": names, "accuracy": accuracy}, target)


main(pathlib.Path(sys.argv[1]))
