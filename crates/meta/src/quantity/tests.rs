use super::{Quantity, QuantityError, QuantityFormat};

/// Cases of k8s.io/apimachinery `pkg/api/resource/quantity_test.go`.
#[test]
fn canonical_text() {
    let cases = [
        ("0", "0"),
        ("0n", "0"),
        ("0m", "0"),
        ("-0", "0"),
        ("0Ki", "0"),
        ("100m", "100m"),
        ("0.1", "100m"),
        ("1000m", "1"),
        ("1.5", "1500m"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("1024Mi", "1Gi"),
        ("1Gi", "1Gi"),
        ("1025Mi", "1025Mi"),
        ("12Ei", "9223372036854775807"),
        ("1000", "1k"),
        ("1000000", "1M"),
        ("1024", "1024"),
        ("12e6", "12e6"),
        ("1e3", "1e3"),
        ("1e4", "10e3"),
        ("1E6", "1E6"),
        ("100E", "100E"),
        ("1u", "1u"),
        ("0.1n", "1n"),
        ("0.0000000001", "1n"),
        ("0.1Ki", "102400m"),
        ("0.000001Ki", "1024u"),
        ("1.1Mi", "1153433600m"),
        ("100.035k", "100.035k"),
        (".001", "1m"),
        ("1.", "1."),
        ("-1", "-1"),
        ("-0.3Ki", "-307200m"),
        ("1.01", "1010m"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
        ("1e100", "10e99"),
    ];
    for (given, want) in cases {
        let got = Quantity::parse(given).map(|q| q.to_string());
        assert_eq!(got.as_deref(), Ok(want), "{given}");
    }
}

#[test]
fn plain_texts_are_canonical() {
    for number in ["0", "1", "10", "128", "1000", "1024", "1025", "2048", "999999999"] {
        for suffix in ["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi"] {
            let text = format!("{number}{suffix}");
            if Quantity::is_plain(&text) {
                assert_eq!(Quantity::parse(&text).unwrap().to_string(), text);
            }
        }
    }
}

#[test]
fn refused() {
    use QuantityError::{Format, Suffix};
    let cases = [("", Format), ("1.1.M", Format), ("1+1.0M", Format), ("aoeu", Format)];
    for (given, want) in cases {
        assert_eq!(Quantity::parse(given).err(), Some(want), "{given}");
    }
    for given in ["0.1mi", "0.1am", ".5i", "1i", "-3.01i", "1Mm", "1e", "1k5"] {
        let why = Quantity::parse(given).err();
        assert!(why == Some(Suffix) || why == Some(Format), "{given}: {why:?}");
    }
}

#[test]
fn arithmetic_and_order() {
    let parse = |s: &str| Quantity::parse(s).unwrap();
    let mut sum = parse("100m");
    sum.add(&parse("1"));
    assert_eq!(sum.to_string(), "1100m");
    sum.sub(&parse("1100m"));
    assert!(sum.is_zero());
    sum.add(&parse("1Gi"));
    assert_eq!((sum.to_string().as_str(), sum.format()), ("1Gi", QuantityFormat::BinarySi));
    assert_eq!(parse("1Gi").value(), 1 << 30);
    assert_eq!(parse("1m").value(), 1);
    assert_eq!(parse("1500m").value(), 2);
    assert_eq!(parse("0.5").milli_value(), 500);
    assert_eq!(parse("1e100").value(), i64::MAX);
    assert!(parse("1Ki") > parse("1k"));
    assert_eq!(parse("1000m"), parse("1"));
    assert!(parse("1e100") > parse("9E"));
    assert!(parse("-1e100") < parse("-9E"));
}
