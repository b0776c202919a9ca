//! `# check=skip=A,B;error=true` (BuildKit `linter.ParseLintOptions`).

/// Which checks are left out, and whether a finding ends the build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Rule names, or `all`.
    pub skip: Vec<String>,
    /// A finding is an error.
    pub error: bool,
}

impl Check {
    /// The directive's value, or that of the build argument `BUILDKIT_DOCKERFILE_CHECK`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut out = Self::default();
        for part in text.trim().splitn(2, ';').filter(|_| !text.trim().is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!("invalid check option \"{part}\""));
            };
            let value = value.trim();
            match key.trim() {
                "skip" => out.skip = value.split(',').map(|s| s.trim().to_owned()).collect(),
                "error" => {
                    out.error = truth(value).ok_or_else(|| {
                        format!("failed to parse check option \"{part}\": invalid syntax")
                    })?;
                }
                // Rules that are still being tried out upstream; none of ours is.
                "experimental" => {}
                key => return Err(format!("invalid check option \"{key}\"")),
            }
        }
        Ok(out)
    }

    pub fn skips(&self, rule: &str) -> bool {
        self.skip.iter().any(|s| s == "all" || s == rule)
    }
}

/// Go's `strconv.ParseBool`.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
