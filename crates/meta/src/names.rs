//! Names and labels: upstream's rules and texts (apimachinery `pkg/util/validation/validation.go`).

const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035_TEXT: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with \
an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_TEXT: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

type Faults = Vec<String>;

fn is_lower(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_label(s: &str) -> bool {
    let b = s.as_bytes();
    !b.is_empty()
        && is_lower(b[0])
        && is_lower(b[b.len() - 1])
        && b.iter().all(|c| is_lower(*c) || *c == b'-')
}

fn is_subdomain(s: &str) -> bool {
    s.split('.').all(is_label)
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn check(s: &str, max: usize, ok: bool, text: &str) -> Faults {
    let mut faults = Vec::new();
    if s.len() > max {
        faults.push(too_long(max));
    }
    if !ok {
        faults.push(text.to_string());
    }
    faults
}

/// A DNS label: namespaces, container and port names.
pub fn dns_label(s: &str) -> Faults {
    check(s, 63, is_label(s), LABEL_TEXT)
}

/// A DNS subdomain: most object names.
pub fn dns_subdomain(s: &str) -> Faults {
    check(s, 253, is_subdomain(s), SUBDOMAIN_TEXT)
}

/// A DNS label that starts with a letter: services.
pub fn dns_label_1035(s: &str) -> Faults {
    let ok = is_label(s) && s.as_bytes()[0].is_ascii_lowercase();
    check(s, 63, ok, LABEL_1035_TEXT)
}

/// A name as one element of a URL path: RBAC objects.
pub fn path_segment(s: &str) -> Faults {
    if s == "." || s == ".." {
        return vec![format!("may not be '{s}'")];
    }
    let bad = ['/', '%'].into_iter().filter(|c| s.contains(*c));
    bad.map(|c| format!("may not contain '{c}'")).collect()
}

fn is_word(s: &str) -> bool {
    let b = s.as_bytes();
    !b.is_empty()
        && b[0].is_ascii_alphanumeric()
        && b[b.len() - 1].is_ascii_alphanumeric()
        && b.iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
}

/// A label or annotation key: `name` or `prefix/name`.
pub fn qualified_name(s: &str) -> Faults {
    let (prefix, name) = match s.split_once('/') {
        None => (None, s),
        Some((_, rest)) if rest.contains('/') => {
            let text = QUALIFIED_TEXT.strip_prefix("name part must").unwrap_or(QUALIFIED_TEXT);
            return vec![format!(
                "a qualified name must{text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    let mut faults = match prefix {
        Some("") => vec!["prefix part must be non-empty".into()],
        Some(prefix) => dns_subdomain(prefix).iter().map(|f| format!("prefix part {f}")).collect(),
        None => Vec::new(),
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        faults.push(format!("name part {}", too_long(63)));
    }
    if !is_word(name) {
        faults.push(QUALIFIED_TEXT.into());
    }
    faults
}

/// The value of a label.
pub fn label_value(s: &str) -> Faults {
    check(s, 63, s.is_empty() || is_word(s), VALUE_TEXT)
}
