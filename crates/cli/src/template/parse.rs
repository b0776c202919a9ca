//! From text to nodes (Go `text/template/parse`).

use meta::Value;

pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If { branches: Vec<(Pipeline, Vec<Node>)>, otherwise: Vec<Node> },
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    With { of: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
}

/// `$a, $b := first | second`
pub(super) struct Pipeline {
    pub variables: Vec<String>,
    pub commands: Vec<Vec<Operand>>,
}

pub(super) enum Operand {
    /// `.` or `.a.b`
    Fields(Vec<String>),
    /// `$` or `$x.a`
    Variable(String, Vec<String>),
    Constant(Value),
    Function(String),
    /// `(...)` or `(...).a`
    Group(Box<Pipeline>, Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Field(String),
    /// A field without a space before it.
    Chained(String),
    Dot,
    Variable(String),
    Constant(Value),
    Word(String),
    Open,
    Close,
    Pipe,
    Comma,
    Assign,
}

impl Token {
    fn can_have_fields(&self) -> bool {
        matches!(self, Self::Field(_) | Self::Chained(_) | Self::Variable(_) | Self::Close)
    }
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

pub(super) fn template(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { pieces: pieces(text)?.into_iter() };
    let (nodes, end) = parser.nodes(0)?;
    match end {
        End::Text => Ok(nodes),
        _ => Err("unexpected {{end}} or {{else}}".into()),
    }
}

/// Cuts text and actions apart and trims what `{{-` and `-}}` say.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some(at) = rest.find("{{") {
        let mut before = &rest[..at];
        rest = &rest[at + 2..];
        if trim {
            before = before.trim_start();
        }
        if let Some(after) = rest.strip_prefix("- ") {
            before = before.trim_end();
            rest = after;
        }
        out.push(Piece::Text(before.to_owned()));
        let end = closing(rest).ok_or("unclosed action")?;
        let mut action = &rest[..end];
        rest = &rest[end + 2..];
        trim = action.ends_with(" -");
        if trim {
            action = &action[..action.len() - 2];
        }
        if !(action.trim().starts_with("/*") && action.trim().ends_with("*/")) {
            out.push(Piece::Action(tokens(action)?));
        }
    }
    out.push(Piece::Text(if trim { rest.trim_start() } else { rest }.to_owned()));
    Ok(out)
}

/// Where `}}` stands outside strings.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'"' | b'`' | b'\'') => quote = Some(bytes[at]),
            (Some(b'"'), b'\\') => at += 1,
            (Some(q), byte) if q == byte => quote = None,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out: Vec<Token> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, used) = token(rest, first)?;
        let joined = rest.len() < text.len() && !text[..text.len() - rest.len()].ends_with(' ');
        out.push(match (token, out.last()) {
            (Token::Field(name), Some(last)) if joined && last.can_have_fields() => {
                Token::Chained(name)
            }
            (token, _) => token,
        });
        rest = rest[used..].trim_start();
    }
    Ok(out)
}

fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    Ok(match first {
        '(' => (Token::Open, 1),
        ')' => (Token::Close, 1),
        '|' => (Token::Pipe, 1),
        ',' => (Token::Comma, 1),
        '=' => (Token::Assign, 1),
        ':' if rest.starts_with(":=") => (Token::Assign, 2),
        '"' => string(rest)?,
        '`' => {
            let end = rest[1..].find('`').ok_or("unterminated raw string")?;
            (Token::Constant(rest[1..=end].into()), end + 2)
        }
        '.' => match word(&rest[1..]) {
            0 => (Token::Dot, 1),
            len => (Token::Field(rest[1..=len].to_owned()), len + 1),
        },
        '$' => {
            let len = word(&rest[1..]);
            (Token::Variable(rest[1..=len].to_owned()), len + 1)
        }
        c if c.is_ascii_digit() || c == '-' => number(rest)?,
        c if c.is_alphabetic() || c == '_' => {
            let len = word(rest);
            (named(&rest[..len]), len)
        }
        c => return Err(format!("unexpected {c:?} in command")),
    })
}

fn named(word: &str) -> Token {
    match word {
        "true" => Token::Constant(true.into()),
        "false" => Token::Constant(false.into()),
        "nil" => Token::Constant(Value::Null),
        _ => Token::Word(word.to_owned()),
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
    let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let value: Value =
        serde_json::from_str(&rest[..len]).map_err(|_| format!("bad number {}", &rest[..len]))?;
    Ok((Token::Constant(value), len))
}

fn string(rest: &str) -> Result<(Token, usize), String> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Constant(out.into()), at + 1)),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(c) => out.push(c),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("unterminated quoted string".into())
}

/// What ended a list of nodes.
enum End {
    Text,
    Closed,
    /// `else`, with what follows it.
    Else(Vec<Token>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
}

/// Deeper nesting is refused.
const DEPTH_MAX: usize = 64;

impl Parser {
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node>, End), String> {
        if depth > DEPTH_MAX {
            return Err("nested too deeply".into());
        }
        let mut out = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    out.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let Some(Token::Word(first)) = tokens.first() else {
                out.push(Node::Print(pipeline(&tokens)?));
                continue;
            };
            match first.as_str() {
                "end" => return Ok((out, End::Closed)),
                "else" => return Ok((out, End::Else(tokens[1..].to_vec()))),
                "if" => out.push(self.branches(&tokens[1..], depth)?),
                "range" => {
                    let (over, body, otherwise) = self.block(&tokens[1..], depth)?;
                    out.push(Node::Range { over, body, otherwise });
                }
                "with" => {
                    let (of, body, otherwise) = self.block(&tokens[1..], depth)?;
                    out.push(Node::With { of, body, otherwise });
                }
                _ => out.push(Node::Print(pipeline(&tokens)?)),
            }
        }
        Ok((out, End::Text))
    }

    fn branches(&mut self, condition: &[Token], depth: usize) -> Result<Node, String> {
        let mut condition = pipeline(condition)?;
        let mut branches = Vec::new();
        loop {
            let (body, end) = self.nodes(depth + 1)?;
            branches.push((condition, body));
            match end {
                End::Text => return Err("unexpected end of the template".into()),
                End::Closed => return Ok(Node::If { branches, otherwise: Vec::new() }),
                End::Else(tokens) if tokens.first() == Some(&Token::Word("if".into())) => {
                    condition = pipeline(&tokens[1..])?;
                }
                End::Else(_) => {
                    let otherwise = self.closed(depth)?;
                    return Ok(Node::If { branches, otherwise });
                }
            }
        }
    }

    fn block(
        &mut self,
        head: &[Token],
        depth: usize,
    ) -> Result<(Pipeline, Vec<Node>, Vec<Node>), String> {
        let head = pipeline(head)?;
        let (body, end) = self.nodes(depth + 1)?;
        match end {
            End::Text => Err("unexpected end of the template".into()),
            End::Closed => Ok((head, body, Vec::new())),
            End::Else(_) => Ok((head, body, self.closed(depth)?)),
        }
    }

    fn closed(&mut self, depth: usize) -> Result<Vec<Node>, String> {
        match self.nodes(depth + 1)? {
            (nodes, End::Closed) => Ok(nodes),
            _ => Err("unexpected end of the template".into()),
        }
    }
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline, String> {
    let mut at = 0;
    let out = piped(tokens, &mut at, 0)?;
    if at < tokens.len() { Err("unexpected right paren".into()) } else { Ok(out) }
}

fn piped(tokens: &[Token], at: &mut usize, depth: usize) -> Result<Pipeline, String> {
    if depth > DEPTH_MAX {
        return Err("nested too deeply".into());
    }
    let variables = variables(tokens, at);
    let mut commands = vec![Vec::new()];
    while let Some(token) = tokens.get(*at) {
        if *token == Token::Close {
            break;
        }
        *at += 1;
        let current = commands.last_mut().expect("it starts with one");
        match token {
            Token::Pipe => commands.push(Vec::new()),
            Token::Dot => current.push(Operand::Fields(Vec::new())),
            Token::Field(name) => {
                let mut fields = vec![name.clone()];
                fields.extend(more_fields(tokens, at));
                current.push(Operand::Fields(fields));
            }
            Token::Variable(name) => {
                current.push(Operand::Variable(name.clone(), more_fields(tokens, at)));
            }
            Token::Constant(value) => current.push(Operand::Constant(value.clone())),
            Token::Word(name) => current.push(Operand::Function(name.clone())),
            Token::Open => {
                let inner = piped(tokens, at, depth + 1)?;
                if tokens.get(*at) != Some(&Token::Close) {
                    return Err("unclosed left paren".into());
                }
                *at += 1;
                current.push(Operand::Group(Box::new(inner), more_fields(tokens, at)));
            }
            Token::Comma | Token::Assign | Token::Close | Token::Chained(_) => {
                return Err("unexpected \",\", \"=\" or field in command".into());
            }
        }
    }
    if commands.iter().any(Vec::is_empty) {
        return Err("missing value for command".into());
    }
    Ok(Pipeline { variables, commands })
}

/// `.b.c` directly behind an operand.
fn more_fields(tokens: &[Token], at: &mut usize) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(Token::Chained(name)) = tokens.get(*at) {
        out.push(name.clone());
        *at += 1;
    }
    out
}

/// `$a :=` or `$a, $b :=`
fn variables(tokens: &[Token], at: &mut usize) -> Vec<String> {
    let found = match tokens.get(*at..).unwrap_or_default() {
        [Token::Variable(a), Token::Assign, ..] => (vec![a.clone()], 2),
        [Token::Variable(a), Token::Comma, Token::Variable(b), Token::Assign, ..] => {
            (vec![a.clone(), b.clone()], 4)
        }
        _ => return Vec::new(),
    };
    *at += found.1;
    found.0
}
