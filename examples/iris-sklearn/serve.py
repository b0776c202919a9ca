"""Answers with the species of a flower: POST /predict {"rows": [[5.1, 3.5, 1.4, 0.2]]}."""

import sys

import joblib
from flask import Flask, jsonify, request

stored = joblib.load(sys.argv[1])
app = Flask(__name__)


@app.get("/healthz")
def healthz():
    return jsonify(accuracy=stored["accuracy"])


@app.post("/predict")
def predict():
    rows = (request.get_json(silent=True) or {}).get("rows")
    try:
        found = stored["model"].predict(rows)
    except (TypeError, ValueError) as problem:
        return jsonify(error=f"rows must be lists of four numbers: {problem}"), 400
    return jsonify(species=[stored["names"][n] for n in found])


app.run(host="0.0.0.0", port=8080)
