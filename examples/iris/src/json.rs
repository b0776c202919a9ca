//! As much JSON as the server reads: `{"rows": [[5.1, 3.5, 1.4, 0.2], ...]}`.

use crate::data::Features;

/// The rows of a request.
pub fn rows(text: &str) -> Result<Vec<Features>, String> {
    let mut input = Input { rest: text };
    let rows = input.request().ok_or_else(|| {
        let at = text.len() - input.rest.len();
        format!("at byte {at}: want {{\"rows\": [[number, number, number, number], ...]}}")
    })?;
    match input.rest.trim() {
        "" => Ok(rows),
        rest => Err(format!("unexpected {:?} after the rows", rest.chars().next().unwrap_or(' '))),
    }
}

struct Input<'a> {
    rest: &'a str,
}

impl Input<'_> {
    /// Takes a word if it is next.
    fn word(&mut self, word: &str) -> Option<()> {
        self.rest = self.rest.trim_start();
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn number(&mut self) -> Option<f64> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | 'e' | 'E'));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number: f64 = number.parse().ok().filter(|n: &f64| n.is_finite())?;
        self.rest = rest;
        Some(number)
    }

    fn features(&mut self) -> Option<Features> {
        let mut features = Features::default();
        self.word("[")?;
        for (i, feature) in features.iter_mut().enumerate() {
            if i > 0 {
                self.word(",")?;
            }
            *feature = self.number()?;
        }
        self.word("]")?;
        Some(features)
    }

    fn request(&mut self) -> Option<Vec<Features>> {
        for word in ["{", "\"rows\"", ":", "["] {
            self.word(word)?;
        }
        let mut rows = Vec::new();
        if self.word("]").is_none() {
            rows.push(self.features()?);
            while self.word(",").is_some() {
                rows.push(self.features()?);
            }
            self.word("]")?;
        }
        self.word("}")?;
        Some(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn reads_rows_and_nothing_else() {
        let two = rows(r#" { "rows" : [[5.1,3.5,1.4,0.2], [1e0, -2, 3, 4]] } "#);
        assert_eq!(two, Ok(vec![[5.1, 3.5, 1.4, 0.2], [1.0, -2.0, 3.0, 4.0]]));
        assert_eq!(rows(r#"{"rows":[]}"#), Ok(vec![]));
        for bad in ["", "{}", "[[1,2,3,4]]", r#"{"rows":[[1,2,3]]}"#, r#"{"rows":[[1,2,3,4]]}x"#] {
            assert!(rows(bad).is_err(), "{bad}");
        }
    }
}
