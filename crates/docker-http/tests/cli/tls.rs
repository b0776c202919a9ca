//! The API over TCP, for clients that hold a certificate.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::bench::{Bench, said};

/// ca.pem, and NAME-cert.pem with NAME-key.pem for each name.
fn certificates(b: &Bench, names: &[&str]) {
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let pem = ca.self_signed(&ca_key).unwrap().pem();
    std::fs::write(b.path("ca.pem"), pem).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    for name in names {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(b.path(&format!("{name}-cert.pem")), cert.pem()).unwrap();
        std::fs::write(b.path(&format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn clients_with_a_certificate_come_in() {
    let Some(mut b) = Bench::start("tls") else { return };
    certificates(&b, &["server", "client"]);
    let path = |b: &Bench, name: &str| b.path(name).display().to_string();
    for (option, file) in [
        ("--tlscert", "server-cert.pem"),
        ("--tlskey", "server-key.pem"),
        ("--tlscacert", "ca.pem"),
    ] {
        let file = path(&b, file);
        b.args.extend([option.to_owned(), file]);
    }
    b.kill_daemon();
    b.up();
    let host = format!("tcp://{}", b.ready.trim().rsplit(' ').next().unwrap());
    let ask = |files: &[(&str, &str)]| {
        let mut command = b.command(&["--tlsverify", "-H", &host]);
        command.env_remove("DOCKER_HOST");
        for (option, file) in files {
            command.arg(option).arg(b.path(file));
        }
        said(command.args(["run", "--rm", "busybox", "echo", "over", "TLS"]).output().unwrap())
    };
    let ca = ("--tlscacert", "ca.pem");
    let mine = [ca, ("--tlscert", "client-cert.pem"), ("--tlskey", "client-key.pem")];
    assert_eq!(ask(&mine).out, "over TLS\n", "{}", ask(&mine).err);
    let stranger = ask(&[ca]);
    assert_ne!(stranger.code, 0);
    assert!(stranger.err.contains("certificate"), "{}", stranger.err);
}
