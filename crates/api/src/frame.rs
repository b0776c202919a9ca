//! Protobuf frames of a watch.

/// A bare `metav1.WatchEvent{type = 1, object = 2 (RawExtension{raw = 1})}`. `object` comes in its envelope, the
/// event has none (apimachinery's raw protobuf serializer for streams).
pub fn watch_event(event: &str, object: &[u8]) -> Vec<u8> {
    [field(1, event.as_bytes()), field(2, &field(1, object))].concat()
}

/// A length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_are_length_delimited() {
        assert_eq!(super::field(1, b"ab"), [0x0a, 2, b'a', b'b']);
        assert_eq!(super::field(2, &[0; 300])[..3], [0x12, 0xac, 0x02]);
    }
}
