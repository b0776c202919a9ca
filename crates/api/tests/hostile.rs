//! Whatever clients send, they get an answer: no panic, no hang, always a Status when refused.

#![allow(clippy::unwrap_used)]

mod server;

use api::{Method, Outcome};
use bytes::Bytes;
use proptest::prelude::*;
use server::Server;

/// Sends one request; a watch counts as an answer.
fn ask(server: &Server, method: Method, url: &str, change: impl FnOnce(&mut api::Request)) -> u16 {
    let mut request = server.request(method, url, "");
    change(&mut request);
    match server.api.plan(&request, &server.store.view()) {
        Outcome::Reply(reply) => {
            assert!(reply.status >= 200, "{}", reply.status);
            reply.status
        }
        _ => 200,
    }
}

fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[a-z0-9.,!=() *;/+&%-]{0,40}",
        "(application/(json|yaml|vnd\\.kubernetes\\.protobuf|\\*)|\\*/\\*)(;(as|v|g|q|stream|profile)=[A-Za-z0-9.]{0,8}){0,4}(,[a-z/*;=0-9.]{0,20}){0,2}",
        "[a-z]{1,5}( (in|notin) \\([a-z,]{0,9}\\)|(==?|!=)[a-z]{0,4})(,![a-z]{1,4})?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn accept_headers(accept in odd(), agent in odd()) {
        let server = Server::new();
        for url in ["/api/v1/namespaces", "/apis", "/openapi/v3", "/api/v1/namespaces/default"] {
            ask(&server, Method::Get, url, |request| {
                request.accept = accept.clone();
                request.user_agent = agent.clone();
                request.if_none_match = accept.clone();
            });
        }
    }

    #[test]
    fn selectors_versions_and_tokens(value in odd(), other in odd()) {
        let server = Server::new();
        for key in ["labelSelector", "fieldSelector", "continue", "resourceVersion", "limit", "timeoutSeconds"] {
            ask(&server, Method::Get, "/api/v1/namespaces", |request| {
                request.query.push((key.into(), value.clone()));
                request.query.push(("resourceVersionMatch".into(), other.clone()));
            });
            ask(&server, Method::Get, "/api/v1/pods", |request| {
                request.query.push((key.into(), value.clone()));
                request.query.push(("watch".into(), "1".into()));
            });
        }
    }

    #[test]
    fn continue_tokens(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        use base64::Engine;
        let server = Server::new();
        let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes);
        let code = ask(&server, Method::Get, "/api/v1/namespaces", |request| {
            request.query.push(("continue".into(), token));
        });
        prop_assert!(bytes.is_empty() || code == 400 || code == 410 || code == 200);
    }

    #[test]
    fn bodies_of_every_type(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[\\[\\]{}:,\"a-z0-9$/ \\-\n]{0,80}",
        magic in any::<bool>(),
    ) {
        let server = Server::new();
        let mut proto = if magic { b"k8s\0".to_vec() } else { Vec::new() };
        proto.extend(&bytes);
        for body in [proto, text.into_bytes()] {
            for kind in ["json", "yaml", "vnd.kubernetes.protobuf", "nonsense"] {
                for url in ["/api/v1/namespaces", "/api/v1/namespaces/default/pods", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"] {
                    ask(&server, Method::Post, url, |request| {
                        request.content_type = format!("application/{kind}");
                        request.body = Bytes::from(body.clone());
                    });
                }
            }
            for kind in ["json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"] {
                ask(&server, Method::Patch, "/api/v1/namespaces/default", |request| {
                    request.content_type = format!("application/{kind}");
                    request.body = Bytes::from(body.clone());
                    request.query.push(("fieldManager".into(), "m".into()));
                });
            }
            ask(&server, Method::Delete, "/api/v1/namespaces/kube-system", |request| {
                request.body = Bytes::from(body.clone());
            });
        }
    }

    #[test]
    fn paths(path in "(/(api|apis|openapi|v1|apps|namespaces|pods|status|watch|[a-z]{0,4}|%2e|\\PC)){0,8}/?") {
        let server = Server::new();
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete, Method::Patch] {
            ask(&server, method, &path, |_| {});
        }
    }
}
