use super::*;

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn free(_: u16) -> Result<(), PortError> {
    Ok(())
}

#[test]
fn conflicts_have_dockers_texts() {
    let mut book = PortBook::new((32768, 60999));
    let all = [ip("0.0.0.0")];
    let local = [ip("127.0.0.1")];
    assert_eq!(book.reserve(&all, Proto::Tcp, Wish::Exact(8080), free), Ok(8080));
    let error = book.reserve(&local, Proto::Tcp, Wish::Exact(8080), free).unwrap_err();
    assert_eq!(error.to_string(), "Bind for 0.0.0.0:8080 failed: port is already allocated");
    assert_eq!(book.reserve(&local, Proto::Udp, Wish::Exact(8080), free), Ok(8080));
    assert_eq!(book.reserve(&[ip("::")], Proto::Tcp, Wish::Exact(8080), free), Ok(8080));
    book.release(&all, Proto::Tcp, 8080);
    assert_eq!(book.reserve(&local, Proto::Tcp, Wish::Exact(8080), free), Ok(8080));
    assert_eq!(book.reserve(&[ip("127.0.0.2")], Proto::Tcp, Wish::Exact(8080), free), Ok(8080));
    let used = PortError::InUse(ip("::1"), 80, Proto::Tcp).to_string();
    assert_eq!(used, "failed to bind host port [::1]:80/tcp: address already in use");
}

#[test]
fn ranges_go_round_and_skip_what_others_have() {
    let mut book = PortBook::new((32768, 32770));
    let all = [ip("0.0.0.0")];
    let any = |book: &mut PortBook| {
        book.reserve(&all, Proto::Tcp, Wish::Any, |port| match port {
            32769 => Err(PortError::InUse(ip("0.0.0.0"), port, Proto::Tcp)),
            _ => Ok(()),
        })
    };
    assert_eq!(any(&mut book), Ok(32768));
    assert_eq!(any(&mut book), Ok(32770));
    assert!(matches!(any(&mut book), Err(PortError::InUse(..))));
    book.release(&all, Proto::Tcp, 32768);
    assert_eq!(any(&mut book), Ok(32768));
    let range = |book: &mut PortBook, low, high| {
        book.reserve(&all, Proto::Udp, Wish::Range(low, high), free)
    };
    assert_eq!(range(&mut book, 8000, 8001), Ok(8000));
    assert_eq!(range(&mut book, 8000, 8001), Ok(8001));
    assert_eq!(range(&mut book, 8000, 8001), Err(PortError::AllAllocated));
    assert_eq!(range(&mut book, 8001, 8000), Err(PortError::InvalidRange(8001, 8000)));
    assert_eq!(range(&mut book, 65535, 65535), Ok(65535));
}
