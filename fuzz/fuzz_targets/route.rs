//! Routes: no request line panics, and what a client writes never becomes an upstream.

#![no_main]

use http::{HeaderMap, HeaderValue, Method, Uri};
use libfuzzer_sys::fuzz_target;
use portcullis::{
    http::route::{Asked, Route},
    oci::{UpstreamNames, UpstreamTable},
};

fuzz_target!(|input: (bool, &str, &str)| {
    let (head, target, host) = input;
    let Ok(uri) = target.parse::<Uri>() else { return };
    let mut headers = HeaderMap::new();
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert("host", host);
    }
    let method = if head { Method::HEAD } else { Method::GET };
    let table = table();
    let asked = Asked { method: &method, uri: &uri, headers: &headers, door: None };
    if let Ok(route) = Route::parse(asked, &table)
        && let Some(image) = route.target.image()
    {
        assert!(table.names().any(|name| *name == image.upstream));
        assert!(!image.repository.as_str().contains(".."));
    }
});

fn table() -> UpstreamTable {
    let entry = |name: &str, host: &str| UpstreamNames {
        name: name.parse().expect("a name"),
        aliases: Vec::new(),
        hosts: vec![host.parse().expect("a host")],
    };
    let entries = vec![entry("docker.io", "docker.example"), entry("registry.test", "test.example")];
    UpstreamTable::new(entries, Some("docker.io".parse().expect("a name"))).expect("no doubles")
}
