//! The measured plants.

/// Species, in the order of their numbers in the data.
pub const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// Measurements of one plant, in cm: sepal length and width, petal length and width.
pub type Features = [f64; 4];

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    pub features: Features,
    /// Index into [`SPECIES`].
    pub species: usize,
}

pub fn read(path: &str) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("read {path}: {e}"))?;
    parse(&text).map_err(|e| format!("{path}: {e}"))
}

/// Lines of five numbers after a header.
pub fn parse(text: &str) -> Result<Vec<Row>, String> {
    let rows = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    rows.map(|(number, line)| row(line).ok_or_else(|| format!("line {}: {line:?}", number + 1)))
        .collect()
}

fn row(line: &str) -> Option<Row> {
    let mut cells = line.split(',').map(str::trim);
    let mut features = Features::default();
    for feature in &mut features {
        *feature = cells.next()?.parse().ok()?;
    }
    let species = cells.next()?.parse().ok().filter(|s| *s < SPECIES.len())?;
    cells.next().is_none().then_some(Row { features, species })
}

/// Two thirds to learn from; every third row is held out.
pub fn split(rows: &[Row]) -> (Vec<Row>, Vec<Row>) {
    let numbered = || rows.iter().copied().enumerate();
    let learned_from = numbered().filter(|(i, _)| i % 3 != 2).map(|(_, row)| row);
    let held_out = numbered().filter(|(i, _)| i % 3 == 2).map(|(_, row)| row);
    (learned_from.collect(), held_out.collect())
}
