//! Models: which measurements they look at, what they learned, how they are written to a file.

use crate::data::{Features, Row};
use crate::linear::{self, Weights};

/// A version of the model.
pub struct Recipe {
    pub name: &'static str,
    /// Indexes of the measurements it looks at.
    uses: &'static [usize],
}

/// The first version looks at petals only, the second at everything.
static RECIPES: [Recipe; 2] =
    [Recipe { name: "v1", uses: &[2, 3] }, Recipe { name: "v2", uses: &[0, 1, 2, 3] }];

pub fn recipe(name: &str) -> Result<&'static Recipe, String> {
    let names = RECIPES.each_ref().map(|r| r.name).join(", ");
    let found = RECIPES.iter().find(|r| r.name == name);
    found.ok_or_else(|| format!("unknown model {name:?}; there are: {names}"))
}

/// A trained model.
pub struct Model {
    pub name: String,
    uses: Vec<usize>,
    means: Vec<f64>,
    deviations: Vec<f64>,
    weights: [Weights; 3],
}

impl Recipe {
    pub fn train(&self, rows: &[Row]) -> Model {
        let count = rows.len() as f64;
        let mean = |i: usize| rows.iter().map(|r| r.features[i]).sum::<f64>() / count;
        let means: Vec<f64> = self.uses.iter().map(|i| mean(*i)).collect();
        let deviation = |(i, mean): (&usize, &f64)| {
            let squares: f64 = rows.iter().map(|r| (r.features[*i] - mean).powi(2)).sum();
            (squares / count).sqrt().max(f64::EPSILON)
        };
        let deviations = self.uses.iter().zip(&means).map(deviation).collect();
        let weights = Default::default();
        let uses = self.uses.to_vec();
        let mut model = Model { name: self.name.into(), uses, means, deviations, weights };
        let inputs: Vec<_> = rows.iter().map(|r| model.inputs(&r.features)).collect();
        model.weights = linear::fit(rows, &inputs);
        model
    }
}

impl Model {
    /// The used measurements, standardised.
    fn inputs(&self, features: &Features) -> Vec<f64> {
        let scale = self.means.iter().zip(&self.deviations);
        self.uses.iter().zip(scale).map(|(i, (mean, dev))| (features[*i] - mean) / dev).collect()
    }

    /// The most likely species and its probability.
    pub fn predict(&self, features: &Features) -> (usize, f64) {
        let likely = linear::softmax(linear::scores(&self.weights, &self.inputs(features)));
        let best = (0..likely.len()).max_by(|a, b| likely[*a].total_cmp(&likely[*b]));
        let best = best.unwrap_or_default();
        (best, likely[best])
    }

    /// The share of rows it is right about.
    pub fn accuracy(&self, rows: &[Row]) -> f64 {
        let right = rows.iter().filter(|r| self.predict(&r.features).0 == r.species).count();
        right as f64 / rows.len().max(1) as f64
    }

    /// Lines of words: name, used measurements, means, deviations, a line of weights per species.
    pub fn to_text(&self) -> String {
        let line =
            |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        let uses = self.uses.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        let mut lines = vec![self.name.clone(), uses, line(&self.means), line(&self.deviations)];
        lines.extend(self.weights.iter().map(|w| line(w)));
        lines.join("\n") + "\n"
    }

    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let name = lines.next()?.to_string();
        let uses: Vec<usize> = words(lines.next()?)?;
        let means: Vec<f64> = words(lines.next()?)?;
        let deviations: Vec<f64> = words(lines.next()?)?;
        let weights: Vec<Weights> = lines.map(words).collect::<Option<_>>()?;
        let weights: [Weights; 3] = weights.try_into().ok()?;
        let fits = means.len() == uses.len()
            && deviations.len() == uses.len()
            && uses.iter().all(|i| *i < 4)
            && weights.iter().all(|w| w.len() == uses.len() + 1);
        fits.then_some(Self { name, uses, means, deviations, weights })
    }
}

fn words<T: std::str::FromStr>(line: &str) -> Option<Vec<T>> {
    line.split(' ').map(|word| word.parse().ok()).collect()
}

pub fn load(path: &str) -> Result<Model, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("read {path}: {e}"))?;
    Model::from_text(&text).ok_or_else(|| format!("{path} holds no model; run `iris train`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;

    #[test]
    fn both_versions_learn_and_survive_the_file() {
        let rows = data::parse(include_str!("../iris.csv")).expect("the data is well formed");
        assert_eq!(rows.len(), 150);
        let (learned_from, held_out) = data::split(&rows);
        for recipe in &RECIPES {
            let model = recipe.train(&learned_from);
            assert!(model.accuracy(&held_out) >= 0.9, "{}", recipe.name);
            let again = Model::from_text(&model.to_text()).expect("what was written is read");
            assert_eq!(again.to_text(), model.to_text());
        }
        assert!(Model::from_text("v1\n9\n0\n1\n0 0\n0 0\n0 0\n").is_none());
    }
}
