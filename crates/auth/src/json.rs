//! Short reads of JSON values: a missing or mistyped member is empty.

use meta::Value;

/// The text at `pointer` (RFC 6901), `""` when there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// The strings of the list at `pointer`.
pub fn texts<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    items(value, pointer).iter().filter_map(Value::as_str)
}

/// The list at `pointer`, empty when there is none.
pub fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings at `pointer`, owned.
pub fn strings(value: &Value, pointer: &str) -> Vec<String> {
    texts(value, pointer).map(str::to_string).collect()
}
