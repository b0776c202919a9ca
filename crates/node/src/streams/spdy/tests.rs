use super::*;
use tokio::io::duplex;

fn syn(id: u32, headers: &[(&str, &str)]) -> Bytes {
    let mut block = (headers.len() as u32).to_be_bytes().to_vec();
    for (name, value) in headers {
        for text in [name, value] {
            block.extend((text.len() as u32).to_be_bytes());
            block.extend(text.as_bytes());
        }
    }
    let mut payload = [id.to_be_bytes(), [0; 4]].concat();
    payload.extend([0, 0]);
    payload.extend(header::Deflate::new().block(&block));
    control(SYN_STREAM, 0, &payload)
}

#[test]
fn the_dictionary_is_the_specifications() {
    let bytes = dictionary::dictionary();
    assert_eq!(bytes.len(), 1423);
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    assert_eq!(b << 16 | a, 0xe3c6_a7c2);
}

#[tokio::test]
async fn a_stream_lives() {
    let (client, server) = duplex(1 << 16);
    let (opened, mut streams) = mpsc::channel(1);
    let session = tokio::spawn(serve(server, opened));
    let (mut from, mut to) = tokio::io::split(client);
    to.write_all(&syn(1, &[("streamType", "data"), ("port", "80")])).await.unwrap();
    let mut stream = streams.recv().await.unwrap();
    assert_eq!(stream.headers["port"], "80");
    assert_eq!(stream.headers["streamtype"], "data");
    to.write_all(&[0, 0, 0, 1, 1, 0, 0, 2, b'h', b'i']).await.unwrap();
    assert_eq!(stream.data.recv().await.unwrap(), "hi");
    assert_eq!(stream.data.recv().await, None);
    stream.writer.send(b"yo").await.unwrap();
    stream.writer.finish().await.unwrap();
    drop((stream, streams, to));
    session.await.unwrap().unwrap();
    let mut wire = Vec::new();
    from.read_to_end(&mut wire).await.unwrap();
    assert!(wire.ends_with(&[0, 0, 0, 1, 0, 0, 0, 2, b'y', b'o', 0, 0, 0, 1, 1, 0, 0, 0]));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>) {
        let _ = header::Inflate::new().headers(&bytes);
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = parse(&mut buffer) {}
    }
}
