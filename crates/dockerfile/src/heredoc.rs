//! Here-documents: finding their words in an instruction (BuildKit `parser.ParseHeredoc`).

/// One `<<WORD` with the lines up to WORD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word without quotes; the file name of COPY and ADD.
    pub name: String,
    /// Variables are expanded: the word was not quoted.
    pub expand: bool,
    /// `<<-`: leading tabs go.
    pub chomp: bool,
    /// With line ends.
    pub content: String,
}

/// The here-documents that a line announces, in order, contents still empty.
pub fn announced(line: &str, escape: char) -> Vec<Heredoc> {
    words(line, escape).iter().filter_map(|w| word(w)).collect()
}

/// `<<EOF`, `<<-EOF`, `<<"EOF"`, `3<<EOF`.
pub fn word(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let name: String = rest.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
    let expand = name.len() == rest.len();
    (!name.is_empty()).then_some(Heredoc { name, expand, chomp, content: String::new() })
}

/// Splits at blanks outside quotes; quotes and escapes stay in the words.
pub fn words(line: &str, escape: char) -> Vec<String> {
    let (mut out, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(q) if q == c => quote = None,
            _ => {}
        }
        word.push(c);
        if c == escape && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// The terminator's test and the stripping of one body line.
pub fn body_line<'a>(doc: &Heredoc, line: &'a str) -> Option<&'a str> {
    let line = if doc.chomp { line.trim_start_matches('\t') } else { line };
    (line != doc.name).then_some(line)
}
