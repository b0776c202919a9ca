//! Patterns: Go's `filepath.Match`, `**` of `.dockerignore`, and the shell's in `${v#p}`.

/// Go's `filepath.Match` on whole names; with `**` also across folders
/// (moby `patternmatcher`). A malformed pattern matches nothing.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    Matcher { pattern: &p, name: &n, separator: Some('/') }.run()
}

/// Whether a source needs looking through the folder (BuildKit `containsWildcards`).
pub fn is_pattern(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

struct Matcher<'a> {
    pattern: &'a [char],
    name: &'a [char],
    /// What `*` and `?` do not match.
    separator: Option<char>,
}

impl Matcher<'_> {
    /// A row of reachable positions per pattern element: time is the product of the lengths,
    /// whatever the pattern.
    fn run(&self) -> bool {
        let mut reach = vec![false; self.name.len() + 1];
        reach[0] = true;
        let mut p = 0;
        while p < self.pattern.len() {
            let Some((element, next)) = self.element(p) else { return false };
            reach = self.step(&element, &reach);
            p = next;
        }
        reach[self.name.len()]
    }

    fn step(&self, element: &Element, reach: &[bool]) -> Vec<bool> {
        let mut out = vec![false; reach.len()];
        let mut open = false;
        for at in 0..reach.len() {
            match element {
                Element::Any => {
                    open |= reach[at];
                    out[at] = open;
                    open &= self.name.get(at).copied() != self.separator;
                }
                Element::Deep => {
                    open |= reach[at];
                    out[at] = open;
                }
                // `**/`: nothing, or anything that ends with a slash.
                Element::Folders => {
                    open |= reach[at];
                    let after_slash = at > 0 && self.name[at - 1] == '/';
                    out[at] = reach[at] || open && after_slash;
                }
                Element::One(test) => {
                    let fits = |c: char| test.fits(c, self.separator);
                    if reach[at] && self.name.get(at).is_some_and(|c| fits(*c)) {
                        out[at + 1] = true;
                    }
                }
            }
        }
        out
    }

    fn element(&self, at: usize) -> Option<(Element, usize)> {
        let deep = self.separator.is_some() && self.pattern.get(at + 1) == Some(&'*');
        Some(match self.pattern[at] {
            '*' if deep => match self.pattern.get(at + 2) {
                Some('/') => (Element::Folders, at + 3),
                _ => (Element::Deep, at + 2),
            },
            '*' => (Element::Any, at + 1),
            '?' => (Element::One(Test::NotSeparator), at + 1),
            '[' => return self.class(at + 1),
            '\\' => (Element::One(Test::Is(*self.pattern.get(at + 1)?)), at + 2),
            c => (Element::One(Test::Is(c)), at + 1),
        })
    }

    fn class(&self, mut at: usize) -> Option<(Element, usize)> {
        let negated = matches!(self.pattern.get(at), Some('^' | '!'));
        at += usize::from(negated);
        let mut ranges = Vec::new();
        while *self.pattern.get(at)? != ']' || ranges.is_empty() {
            let low = self.class_char(&mut at)?;
            let high = if self.pattern.get(at) == Some(&'-') {
                at += 1;
                self.class_char(&mut at)?
            } else {
                low
            };
            ranges.push((low, high));
        }
        Some((Element::One(Test::Class { negated, ranges }), at + 1))
    }

    fn class_char(&self, at: &mut usize) -> Option<char> {
        if *self.pattern.get(*at)? == '\\' {
            *at += 1;
        }
        let c = *self.pattern.get(*at)?;
        *at += 1;
        Some(c)
    }
}

enum Element {
    Any,
    Deep,
    Folders,
    One(Test),
}

enum Test {
    Is(char),
    NotSeparator,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Test {
    fn fits(&self, c: char, separator: Option<char>) -> bool {
        match self {
            Self::Is(wanted) => *wanted == c,
            Self::NotSeparator => Some(c) != separator,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

/// The shell's patterns stop at nothing. Bounded: values longer than this are left alone.
const SHELL_MAX: usize = 4096;

fn shell(pattern: &[char], name: &[char]) -> bool {
    Matcher { pattern, name, separator: None }.run()
}

/// `${v#p}` and `${v##p}`.
pub fn strip_prefix(value: &str, pattern: &str, longest: bool) -> String {
    let (v, p): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
    if v.len() > SHELL_MAX {
        return value.to_owned();
    }
    let mut ends = 0..=v.len();
    let fits = |end: &usize| shell(&p, &v[..*end]);
    let end = if longest { ends.rev().find(fits) } else { ends.find(fits) };
    v[end.unwrap_or(0)..].iter().collect()
}

/// `${v%p}` and `${v%%p}`.
pub fn strip_suffix(value: &str, pattern: &str, longest: bool) -> String {
    let (v, p): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
    if v.len() > SHELL_MAX {
        return value.to_owned();
    }
    let mut starts = 0..=v.len();
    let fits = |start: &usize| shell(&p, &v[*start..]);
    let start = if longest { starts.find(fits) } else { starts.rev().find(fits) };
    v[..start.unwrap_or(v.len())].iter().collect()
}

/// `${v/p/r}` and `${v//p/r}`: the longest match at each place.
pub fn replace(value: &str, pattern: &str, replacement: &str, all: bool) -> String {
    let (v, p): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
    // Quadratic times the pattern: fine for words, not for attacks.
    if v.len() > SHELL_MAX / 8 || p.is_empty() {
        return value.to_owned();
    }
    let (mut out, mut at) = (String::new(), 0);
    while at < v.len() {
        match (at + 1..=v.len()).rev().find(|end| shell(&p, &v[at..*end])) {
            Some(end) => {
                out.push_str(replacement);
                at = end;
                if !all {
                    break;
                }
            }
            None => {
                out.push(v[at]);
                at += 1;
            }
        }
    }
    out.extend(&v[at..]);
    out
}
