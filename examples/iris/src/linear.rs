//! Multinomial logistic regression: softmax of linear scores, trained by gradient descent on the whole data.

use crate::data::{Row, SPECIES};

const CLASSES: usize = SPECIES.len();

/// One class's weights; the last one is the bias.
pub type Weights = Vec<f64>;

/// Probabilities that sum up to one. The largest score is subtracted first, so nothing overflows.
pub fn softmax(scores: [f64; CLASSES]) -> [f64; CLASSES] {
    let largest = scores.iter().copied().fold(f64::MIN, f64::max);
    let powers = scores.map(|s| (s - largest).exp());
    let sum: f64 = powers.iter().sum();
    powers.map(|p| p / sum)
}

pub fn scores(weights: &[Weights; CLASSES], inputs: &[f64]) -> [f64; CLASSES] {
    let score = |class: &Weights| {
        let sum: f64 = class.iter().zip(inputs).map(|(w, x)| w * x).sum();
        sum + class.last().copied().unwrap_or_default()
    };
    [score(&weights[0]), score(&weights[1]), score(&weights[2])]
}

const ROUNDS: usize = 4000;
const STEP: f64 = 0.5;
/// How strongly large weights are held back.
const DECAY: f64 = 1e-3;

/// Weights for standardised inputs of `rows`.
pub fn fit(rows: &[Row], inputs: &[Vec<f64>]) -> [Weights; CLASSES] {
    let width = inputs.first().map_or(0, Vec::len);
    let mut weights: [Weights; CLASSES] = std::array::from_fn(|_| vec![0.0; width + 1]);
    for _ in 0..ROUNDS {
        let gradient = gradient(rows, inputs, &weights, width);
        for (class, slope) in weights.iter_mut().zip(gradient) {
            for (weight, slope) in class.iter_mut().zip(slope) {
                *weight -= STEP * (slope / rows.len() as f64 + DECAY * *weight);
            }
        }
    }
    weights
}

fn gradient(
    rows: &[Row],
    inputs: &[Vec<f64>],
    weights: &[Weights; CLASSES],
    width: usize,
) -> [Weights; CLASSES] {
    let mut gradient: [Weights; CLASSES] = std::array::from_fn(|_| vec![0.0; width + 1]);
    for (row, inputs) in rows.iter().zip(inputs) {
        let likely = softmax(scores(weights, inputs));
        for (class, slope) in gradient.iter_mut().enumerate() {
            let error = likely[class] - f64::from(u8::from(row.species == class));
            for (slope, x) in slope.iter_mut().zip(inputs.iter().chain(&[1.0])) {
                *slope += error * x;
            }
        }
    }
    gradient
}
