use super::*;
use proptest::prelude::*;

fn sample(path: &str) -> Entry {
    Entry {
        path: path.into(),
        kind: Kind::File,
        mode: 0o4755,
        uid: 5,
        gid: 3_000_000_000,
        size: 0,
        mtime: (-5, 0),
        link: Vec::new(),
        device: (0, 0),
        xattrs: vec![(b"user.a".to_vec(), b"\0=\n".to_vec())],
        sparse: None,
    }
}

fn all(bytes: &[u8]) -> crate::Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = Reader::new(bytes);
    let mut out = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut data = Vec::new();
        let mut buf = [0; 100];
        loop {
            match reader.data(&mut buf)? {
                0 => break,
                n => data.extend_from_slice(&buf[..n]),
            }
        }
        out.push((entry, data));
    }
    Ok(out)
}

#[test]
fn what_is_written_is_read_back() {
    let mut writer = Writer::new(Vec::new());
    let mut long = sample(&"d/".repeat(90));
    long.kind = Kind::Dir;
    let mut link = sample("l");
    (link.kind, link.link) = (Kind::Symlink, vec![b'x'; 300]);
    let mut file = sample("f");
    file.size = 700;
    writer.entry(&long).unwrap();
    writer.entry(&link).unwrap();
    writer.entry(&file).unwrap();
    writer.data(&mut &[7u8; 700][..], 700).unwrap();
    let bytes = writer.finish().unwrap();
    let read = all(&bytes).unwrap();
    let entries: Vec<_> = read.iter().map(|(e, _)| e.clone()).collect();
    assert_eq!(entries, [long, link, file]);
    assert_eq!(read[2].1, vec![7; 700]);
}

#[test]
fn base_256_numbers() {
    let rows: [(&[u8], i64); 4] = [
        (b"\x80\0\0\0\0\0\x01\0", 256),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
        (b"0000644\0", 0o644),
        (b"   12 \0\0", 0o12),
    ];
    for (field, want) in rows {
        assert_eq!(header::number(field).unwrap(), want);
    }
    assert!(header::number(b"9999999\0").is_err());
    assert!(header::number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
}

proptest! {
    #[test]
    fn garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 512..2048), flag in "[0-7LKSxg]") {
        bytes[156] = flag.as_bytes()[0];
        bytes[124..136].copy_from_slice(b"00000000777\0");
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes[..512].iter().map(|b| u32::from(*b)).sum();
        bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let _ = all(&bytes);
    }

    #[test]
    fn pax_garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = pax::parse(&bytes);
    }

    #[test]
    fn pax_records_round_trip(key in "[a-z.]{1,120}", value in proptest::collection::vec(any::<u8>(), 0..1100)) {
        let record = pax::record(key.as_bytes(), &value);
        prop_assert_eq!(pax::parse(&record).unwrap(), vec![(key.into_bytes(), value)]);
    }

    #[test]
    fn flipped_bytes_never_panic(at in 0usize..4096, byte in any::<u8>()) {
        let mut writer = Writer::new(Vec::new());
        let mut file = sample("some/file");
        file.size = 600;
        writer.entry(&file).unwrap();
        writer.data(&mut &[1u8; 600][..], 600).unwrap();
        let mut bytes = writer.finish().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = all(&bytes);
    }
}
