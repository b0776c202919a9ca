//! Goldens: a text is compared with a file of the crate; `UPDATE_GOLDENS=1` writes the file.

use std::path::Path;

/// Compares `text` with `tests/goldens/NAME`.
pub fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "{name} differs (UPDATE_GOLDENS=1 accepts it):\n{text}");
}
