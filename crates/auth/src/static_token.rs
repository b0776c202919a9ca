//! The static token file: `token,user,uid,"group1,group2"` (upstream `token/tokenfile`).

use meta::Identity;

/// Tokens that live as long as the file.
#[derive(Debug, Clone, Default)]
pub struct StaticTokens(Vec<(String, Identity)>);

impl StaticTokens {
    /// # Errors
    /// Names the line that is not a record of at least three fields.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut out = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fields = fields(line);
            let [token, name, uid, rest @ ..] = fields.as_slice() else {
                let at = number + 1;
                return Err(format!(
                    "token file: line {at} must have at least 3 columns (token, user name, user uid)"
                ));
            };
            if token.is_empty() {
                return Err(format!("token file: line {} has an empty token", number + 1));
            }
            let groups = rest.first().map_or("", String::as_str).split(',').map(str::trim);
            let groups = groups.filter(|g| !g.is_empty()).map(str::to_string).collect();
            let identity =
                Identity { name: name.clone(), uid: uid.clone(), groups, ..Identity::default() };
            out.push((token.clone(), identity));
        }
        Ok(Self(out))
    }

    pub fn find(&self, token: &str) -> Option<Identity> {
        self.0.iter().find(|(known, _)| same(known, token)).map(|(_, who)| who.clone())
    }
}

/// Compares without telling by its duration where the difference is.
pub fn same(one: &str, other: &str) -> bool {
    let pairs = one.bytes().zip(other.bytes());
    one.len() == other.len() && pairs.fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
}

/// Comma-separated values; a field may be quoted, `""` inside is a quote.
fn fields(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let (mut quoted, mut chars) = (false, line.trim().chars().peekable());
    while let Some(c) = chars.next() {
        let last = out.last_mut().expect("starts with one field");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                last.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            c => last.push(c),
        }
    }
    out
}
