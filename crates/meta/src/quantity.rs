//! `resource.Quantity`: fixed-point numbers with a suffix, `100m`, `1.5Gi`, `12e6`.
//!
//! Parsing, rounding and the canonical text follow k8s.io/apimachinery `pkg/api/resource/quantity.go`,
//! including that a text which already looks canonical is printed as it was written.

use std::cmp::Ordering;
use std::fmt;

#[cfg(test)]
mod tests;

/// The family of suffixes a quantity is printed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QuantityFormat {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    #[default]
    DecimalSi,
}

/// `value * 10^scale`. Equality and order are those of the number, whatever the format.
#[derive(Debug, Clone, Default)]
pub struct Quantity {
    value: i128,
    scale: i32,
    format: QuantityFormat,
    /// The text it was parsed from, when that is already canonical.
    text: Option<Box<str>>,
}

/// Why a text is no quantity; `Display` is upstream's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantityError {
    Format,
    Numeric,
    Suffix,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => concat!(
                "quantities must match the regular expression ",
                "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ),
            Self::Numeric => "unable to parse numeric part of quantity",
            Self::Suffix => "unable to parse quantity's suffix",
        })
    }
}

impl std::error::Error for QuantityError {}

/// Suffixes with their family and exponent (of 2 for the binary ones, of 10 for the others).
const SUFFIXES: &[(&str, QuantityFormat, i32)] = &[
    ("", QuantityFormat::DecimalSi, 0),
    ("n", QuantityFormat::DecimalSi, -9),
    ("u", QuantityFormat::DecimalSi, -6),
    ("m", QuantityFormat::DecimalSi, -3),
    ("k", QuantityFormat::DecimalSi, 3),
    ("M", QuantityFormat::DecimalSi, 6),
    ("G", QuantityFormat::DecimalSi, 9),
    ("T", QuantityFormat::DecimalSi, 12),
    ("P", QuantityFormat::DecimalSi, 15),
    ("E", QuantityFormat::DecimalSi, 18),
    ("Ki", QuantityFormat::BinarySi, 10),
    ("Mi", QuantityFormat::BinarySi, 20),
    ("Gi", QuantityFormat::BinarySi, 30),
    ("Ti", QuantityFormat::BinarySi, 40),
    ("Pi", QuantityFormat::BinarySi, 50),
    ("Ei", QuantityFormat::BinarySi, 60),
];

/// The smallest unit kept; anything finer is rounded up to it.
const NANO: i32 = -9;
/// Binary quantities are capped here.
const MAX: i128 = i64::MAX as i128;

/// A quantity's text taken apart.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

impl Quantity {
    pub fn new(value: i64, format: QuantityFormat) -> Self {
        Self { value: value.into(), format, ..Self::default() }
    }

    /// `value / 1000`, as CPU amounts are counted.
    pub fn milli(value: i64, format: QuantityFormat) -> Self {
        Self { value: value.into(), scale: -3, format, text: None }
    }

    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let parts = split(text)?;
        let (format, exponent) = suffix(parts.suffix)?;
        let digits = format!("{}{}", parts.whole, parts.fraction);
        let digits = digits.trim_start_matches('0');
        let mut value: i128 = match digits {
            "" => 0,
            digits => digits.parse().map_err(|_| QuantityError::Numeric)?,
        };
        let mut scale = -(parts.fraction.len() as i32);
        let mut format = format;
        let small = digits.len() <= 18 && parts.fraction.len() <= 9;
        if format == QuantityFormat::BinarySi {
            (value, scale) = scaled_binary(value, scale, exponent)?;
            if value != 0 && compare(value, scale, 1, 0) == Ordering::Less {
                format = QuantityFormat::DecimalSi;
            }
        } else {
            scale = scale.saturating_add(exponent);
        }
        (value, scale) = round_up(value, scale, NANO);
        let as_written = small && looks_canonical(&parts, format, exponent);
        let value = if parts.negative { -value } else { value };
        Ok(Self { value, scale, format, text: as_written.then(|| text.into()) })
    }

    /// True for texts that are surely canonical, such as `100m`, `4` and `128Mi`: a cheap way to see that
    /// most quantities need no rewriting. False says nothing.
    pub fn is_plain(text: &str) -> bool {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at(digits);
        if digits == 0 || digits > 9 || number.starts_with('0') {
            return text == "0";
        }
        match suffix {
            "" | "m" | "k" | "M" | "G" | "T" => !number.ends_with("000"),
            "Ki" | "Mi" | "Gi" => number.parse::<u32>().is_ok_and(|n| n % 1024 != 0),
            _ => false,
        }
    }

    pub const fn format(&self) -> QuantityFormat {
        self.format
    }

    pub const fn is_zero(&self) -> bool {
        self.value == 0
    }

    /// -1, 0 or 1.
    pub const fn sign(&self) -> i32 {
        self.value.signum() as i32
    }

    /// Whole units, rounded away from zero, saturating.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// Thousandths, rounded away from zero, saturating.
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    /// Units of `10^scale`, rounded away from zero, saturating.
    pub fn scaled(&self, scale: i32) -> i64 {
        let (value, from) = round_up(self.value, self.scale, scale);
        let shifted = shift(value, from.saturating_sub(scale));
        let limit = if value < 0 { i64::MIN } else { i64::MAX };
        shifted.and_then(|v| i64::try_from(v).ok()).unwrap_or(limit)
    }

    pub fn as_f64(&self) -> f64 {
        self.value as f64 * 10f64.powi(self.scale)
    }

    pub fn add(&mut self, other: &Quantity) {
        if self.is_zero() {
            self.format = other.format;
        }
        self.accumulate(other.value, other.scale);
    }

    pub fn sub(&mut self, other: &Quantity) {
        if self.is_zero() {
            self.format = other.format;
        }
        self.accumulate(-other.value, other.scale);
    }

    pub fn mul(&mut self, factor: i64) {
        self.value = self.value.saturating_mul(factor.into());
        self.text = None;
    }

    pub fn neg(&mut self) {
        self.value = -self.value;
        self.text = None;
    }

    fn accumulate(&mut self, value: i128, scale: i32) {
        self.text = None;
        let common = self.scale.min(scale);
        let a = shift(self.value, self.scale - common);
        let b = shift(value, scale - common);
        match a.zip(b).and_then(|(a, b)| a.checked_add(b)) {
            Some(sum) => (self.value, self.scale) = (sum, common),
            // One of them dwarfs the other beyond 38 digits: the larger is the sum.
            None if compare(self.value.abs(), self.scale, value.abs(), scale).is_lt() => {
                (self.value, self.scale) = (value, scale);
            }
            None => {}
        }
    }

    fn canonical(&self) -> String {
        if self.value == 0 {
            return "0".into();
        }
        let magnitude = |limit| compare(self.value.abs(), self.scale, limit, 0);
        if self.format == QuantityFormat::BinarySi && magnitude(1024).is_ge() {
            let (value, scale) = round_up(self.value, self.scale, 0);
            let exact = compare(value, scale, self.value, self.scale).is_eq();
            if let (true, Some(whole)) = (exact, shift(value, scale)) {
                return binary_text(whole);
            }
        }
        decimal_text(self.value, self.scale, self.format)
    }
}

fn binary_text(mut value: i128) -> String {
    let mut times = 0;
    while value.abs() >= 1024 && value % 1024 == 0 && times < 6 {
        value /= 1024;
        times += 1;
    }
    let suffix =
        SUFFIXES.iter().find(|(_, f, e)| *f == QuantityFormat::BinarySi && *e == times * 10);
    format!("{value}{}", suffix.map_or("", |(text, _, _)| text))
}

/// The largest exponent that is a multiple of three and loses nothing.
fn decimal_text(mut value: i128, mut scale: i32, format: QuantityFormat) -> String {
    while value % 10 == 0 {
        value /= 10;
        scale += 1;
    }
    let shift_by = scale.rem_euclid(3);
    value *= 10i128.pow(shift_by as u32);
    scale -= shift_by;
    if format == QuantityFormat::DecimalExponent {
        return if scale == 0 { value.to_string() } else { format!("{value}e{scale}") };
    }
    let suffix = SUFFIXES.iter().find(|(_, f, e)| *f == QuantityFormat::DecimalSi && *e == scale);
    format!("{value}{}", suffix.map_or("", |(text, _, _)| text))
}

/// Sign, digits, digits after the point, suffix; a suffix is letters, then an optional signed number.
fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = rest.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
    let exponent = &rest[letters..];
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits(exponent) != exponent.len() {
        return Err(QuantityError::Format);
    }
    Ok(Parts { negative: text.starts_with('-'), whole, fraction, suffix: rest })
}

fn suffix(text: &str) -> Result<(QuantityFormat, i32), QuantityError> {
    if let Some((_, format, exponent)) = SUFFIXES.iter().find(|(name, _, _)| *name == text) {
        return Ok((*format, *exponent));
    }
    let exponent = text.strip_prefix(['e', 'E']).filter(|rest| !rest.is_empty());
    let exponent: i64 = exponent.and_then(|e| e.parse().ok()).ok_or(QuantityError::Suffix)?;
    let limit = i64::from(i32::MAX / 2);
    Ok((QuantityFormat::DecimalExponent, exponent.clamp(-limit, limit) as i32))
}

/// `value * 10^scale * 2^exponent`, capped at the largest int64.
fn scaled_binary(value: i128, scale: i32, exponent: i32) -> Result<(i128, i32), QuantityError> {
    let (rounded, at) = round_up(value, scale, NANO - 19);
    let shifted = rounded.checked_mul(1i128 << exponent);
    match shifted {
        Some(v) if compare(v, at, MAX, 0).is_le() => Ok((v, at)),
        None if scale < -20 => Err(QuantityError::Numeric),
        _ => Ok((MAX, 0)),
    }
}

/// Upstream prints a parsed text again as it was when nothing about it needs changing.
fn looks_canonical(parts: &Parts<'_>, format: QuantityFormat, exponent: i32) -> bool {
    let whole = parts.whole.trim_start_matches('0');
    if whole.is_empty() {
        return false;
    }
    if format == QuantityFormat::BinarySi {
        let room = 15 - whole.len() as i32 - (exponent as f32 * 3.0 / 10.0) as i32 - 1;
        let value: i64 = whole.parse().unwrap_or_default();
        return parts.fraction.is_empty() && room >= 0 && value & 7 != 0;
    }
    let scale = exponent - parts.fraction.len() as i32;
    let shifted = format!("{whole}{}", parts.fraction);
    scale >= NANO && scale % 3 == 0 && !shifted.ends_with("000")
}

/// Rounds away from zero to a multiple of `10^least`; coarser values stay as they are.
fn round_up(value: i128, scale: i32, least: i32) -> (i128, i32) {
    if scale >= least {
        return (value, scale);
    }
    let drop = (least - scale) as u32;
    let Some(divisor) = 10i128.checked_pow(drop) else {
        return (value.signum(), least);
    };
    let (whole, rest) = (value / divisor, value % divisor);
    (whole + rest.signum(), least)
}

/// `value * 10^by` for `by >= 0`.
fn shift(value: i128, by: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    value.checked_mul(10i128.checked_pow(u32::try_from(by).ok()?)?)
}

fn compare(a: i128, a_scale: i32, b: i128, b_scale: i32) -> Ordering {
    let common = a_scale.min(b_scale);
    let shifted = shift(a, a_scale - common).zip(shift(b, b_scale - common));
    if let Some((a, b)) = shifted {
        return a.cmp(&b);
    }
    if a.signum() != b.signum() || a == 0 {
        return a.signum().cmp(&b.signum());
    }
    // Beyond 38 digits: the position of the leading digit decides.
    let lead = |v: i128, scale: i32| i64::from(v.unsigned_abs().ilog10()) + i64::from(scale);
    let order = lead(a, a_scale).cmp(&lead(b, b_scale));
    if a < 0 { order.reverse() } else { order }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.value, self.scale, other.value, other.scale)
    }
}

/// The canonical text.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.canonical()),
        }
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}
