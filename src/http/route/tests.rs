use proptest::prelude::*;

use super::*;
use crate::oci::UpstreamNames;

fn table_with(default: Option<&str>) -> UpstreamTable {
    let names = |name: &str, aliases: &[&str], hosts: &[&str]| {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        UpstreamNames { name: name.parse().unwrap(), aliases: parse(aliases), hosts: parse(hosts) }
    };
    let entries = vec![
        names("docker.io", &[], &["docker.example.org"]),
        names("registry.test:5000", &["registry.alias"], &["mirror.test:5000"]),
    ];
    UpstreamTable::new(entries, default.map(|name| name.parse().unwrap())).unwrap()
}

fn table() -> UpstreamTable {
    table_with(Some("docker.io"))
}

fn ask(method: &Method, uri: &str, hosts: &[&str]) -> Result<Route, RouteError> {
    let mut headers = HeaderMap::new();
    for host in hosts {
        headers.append("host", host.parse().unwrap());
    }
    let uri = uri.parse().expect("a test's own address");
    Route::parse(Asked { method, uri: &uri, headers: &headers, door: None }, &table())
}

fn get(uri: &str) -> Result<Route, RouteError> {
    ask(&Method::GET, uri, &["mirror.example"])
}

fn image(uri: &str) -> String {
    get(uri).expect(uri).target.image().expect(uri).to_string()
}

fn digest() -> Digest {
    Digest::of(b"x")
}

#[test]
fn g49_every_spelling_of_a_repository_is_one_name() {
    for (uri, host) in [
        ("/v2/nginx/manifests/1", "mirror.example"),
        ("/v2/library/nginx/manifests/1", "mirror.example"),
        ("/v2/docker.io/nginx/manifests/1", "mirror.example"),
        ("/v2/docker.io/library/nginx/manifests/1", "mirror.example"),
        ("/v2/Docker.IO/library/nginx/manifests/1", "mirror.example"),
        ("/v2/index.docker.io/library/nginx/manifests/1", "mirror.example"),
        ("/v2/registry-1.docker.io/nginx/manifests/1", "mirror.example"),
        ("/v2/library/nginx/manifests/1?ns=docker.io", "mirror.example"),
        ("/v2/library/nginx/manifests/1?ns=index.docker.io", "mirror.example"),
        ("/v2/nginx/manifests/1?ns=docker%2Eio", "mirror.example"),
        ("/v2/docker.io/library/nginx/manifests/1?ns=docker.io", "mirror.example"),
        ("/v2/index.docker.io/library/nginx/manifests/1?ns=docker.io", "mirror.example"),
        ("/v2/library/nginx/manifests/1?ns=docker.io", "mirror.test:5000"),
        ("/v2/library/nginx/manifests/1", "docker.example.org"),
        ("/v2/library/nginx/manifests/1", "DOCKER.example.org:8080"),
        ("/v2/%6eginx/manifests/1", "mirror.example"),
        ("http://docker.example.org/v2/nginx/manifests/1", "mirror.test:5000"),
    ] {
        let route = ask(&Method::GET, uri, &[host]).expect(uri);
        assert_eq!(route.target.image().unwrap().to_string(), "docker.io/library/nginx", "{uri}");
    }
}

#[test]
fn g49_a_segment_is_an_upstream_only_when_it_is_configured() {
    assert_eq!(image("/v2/quay.io/a/manifests/1"), "docker.io/quay.io/a");
    assert_eq!(image("/v2/localhost/a/manifests/1"), "docker.io/localhost/a");
    assert_eq!(image("/v2/registry.test:5000/a/manifests/1"), "registry.test:5000/a");
    assert_eq!(image("/v2/registry.test%3A5000/a/manifests/1"), "registry.test:5000/a");
    assert_eq!(image("/v2/registry.alias/a/manifests/1"), "registry.test:5000/a");
    assert_eq!(image("/v2/registry.test/a/manifests/1"), "docker.io/registry.test/a");
    assert_eq!(image("/v2/docker.io/manifests/1"), "docker.io/library/docker.io");
    assert!(matches!(get("/v2/quay.io:443/a/manifests/1"), Err(RouteError::Name(_))));
}

#[test]
fn g49_a_namespace_is_a_key_of_the_table() {
    let uri = |query: &str| get(&format!("/v2/a/b/manifests/1?{query}"));
    assert_eq!(uri("ns=registry.alias").unwrap().namespace.as_deref(), Some("registry.alias"));
    assert_eq!(uri("ns=docker.io&ns=docker.io"), Err(RouteError::NamespaceRepeated));
    for malformed in [
        "ns",
        "ns=",
        "ns=http://docker.io",
        "ns=docker.io/a",
        "ns=%00",
        "ns=%ff",
        "ns=a@docker.io",
        "ns=docker.io%0d%0a",
        "ns=*",
        "ns=docker.io:x",
        "ns=..",
        "ns=docker.io.",
        "ns=docker.io%20",
    ] {
        assert_eq!(uri(malformed), Err(RouteError::NamespaceMalformed), "{malformed}");
    }
    for unknown in ["quay.io", "docker.io:443", "169.254.169.254", "localhost:5000"] {
        assert!(
            matches!(uri(&format!("ns={unknown}")), Err(RouteError::NamespaceUnknown { sent, known })
                if sent == unknown && known.len() == 2),
            "{unknown}"
        );
    }
    assert!(matches!(
        get("/v2/registry.alias/a/manifests/1?ns=docker.io"),
        Err(RouteError::NamespaceContradicted { .. })
    ));
    assert_eq!(image("/v2/quay.io/a/manifests/1?ns=docker.io"), "docker.io/quay.io/a");
}

#[test]
fn a_host_that_names_an_upstream_wins_over_the_path() {
    let route = |host: &str| {
        let route = ask(&Method::GET, "/v2/docker.io/a/manifests/1", &[host]).expect(host);
        route.target.image().unwrap().to_string()
    };
    assert_eq!(route("mirror.test:5000"), "registry.test:5000/docker.io/a");
    assert_eq!(route("docker.io"), "docker.io/library/a");
    let twice = ask(&Method::GET, "/v2/a/manifests/1", &["mirror.test:5000", "mirror.example"]);
    assert_eq!(twice, Err(RouteError::HostRepeated));
}

#[test]
fn a_door_counts_as_its_host() {
    let (uri, door) = ("/v2/a/manifests/1".parse().unwrap(), "registry.test:5000".parse().unwrap());
    let headers = HeaderMap::new();
    let asked = Asked { method: &Method::GET, uri: &uri, headers: &headers, door: Some(&door) };
    let route = Route::parse(asked, &table()).unwrap();
    assert_eq!(route.target.image().unwrap().to_string(), "registry.test:5000/a");
}

#[test]
fn without_a_default_upstream_a_request_has_to_name_one() {
    let ask = |uri: &str| {
        let (uri, headers) = (uri.parse().unwrap(), HeaderMap::new());
        let asked = Asked { method: &Method::GET, uri: &uri, headers: &headers, door: None };
        Route::parse(asked, &table_with(None))
    };
    assert!(
        matches!(ask("/v2/a/manifests/1"), Err(RouteError::NoUpstream { known }) if known.len() == 2)
    );
    assert!(ask("/v2/docker.io/a/manifests/1").is_ok());
    assert!(ask("/v2/a/manifests/1?ns=docker.io").is_ok());
    assert!(ask("/v2/").is_ok());
}

#[test]
fn finds_each_endpoint() {
    let image: ImageName = table().parse_image("a/b").unwrap();
    let digest = digest();
    let target = |uri: String| get(&uri).expect(&uri).target;
    assert_eq!(target("/v2/".into()), Target::Base);
    assert_eq!(target("/v2".into()), Target::Base);
    for uri in
        [format!("/v2/a/b/blobs/{digest}"), format!("/v2/a/b/blobs/sha256%3A{}", digest.hex())]
    {
        assert_eq!(target(uri), Target::Blob { image: image.clone(), digest });
    }
    assert_eq!(
        target("/v2/a/b/manifests/v1".into()),
        Target::Manifest { image: image.clone(), reference: "v1".parse().unwrap() }
    );
    assert_eq!(
        target(format!("/v2/a/b/manifests/{digest}")),
        Target::Manifest { image: image.clone(), reference: Reference::Digest(digest) }
    );
    assert_eq!(
        target(format!("/v2/a/b/referrers/{digest}?artifactType=a/b+c")),
        Target::Referrers {
            image: image.clone(),
            subject: digest,
            artifact_type: Some("a/b+c".into())
        }
    );
    assert_eq!(
        target("/v2/docker.io/a/b/_portcullis/verdict/1.2".into()),
        Target::Verdict { image: image.clone(), reference: "1.2".parse().unwrap() }
    );
    assert_eq!(
        target("/v2/docker.io/a/b/tags/list?n=2&last=v%31&x=y".into()),
        Target::Tags {
            image,
            spelled: "docker.io/a/b".into(),
            count: Some(2),
            last: Some("v1".into())
        }
    );
}

#[test]
fn matches_from_the_right() {
    assert_eq!(image("/v2/a/manifests/b/manifests/1"), "docker.io/a/manifests/b");
    assert_eq!(image("/v2/a/tags/list/manifests/1"), "docker.io/a/tags/list");
    assert_eq!(image("/v2/a/blobs/uploads/manifests/1"), "docker.io/a/blobs/uploads");
    assert_eq!(image("/v2/a/manifests/tags/list"), "docker.io/a/manifests");
    assert_eq!(image("/v2/v2/manifests/1"), "docker.io/library/v2");
}

#[test]
fn g2_refuses_paths_that_could_be_read_in_two_ways() {
    for uri in [
        "/v2/a%2fb/manifests/1",
        "/v2/a%2Fb/manifests/1",
        "/v2/a/manifests%2f1",
        "/v2/a%252fb/manifests/1",
        "/v2/a%00/manifests/1",
        "/v2/a/manifests/1%0a",
        "/v2/a%ff/manifests/1",
    ] {
        assert_eq!(get(uri), Err(RouteError::Encoding), "{uri}");
    }
    for uri in [
        "/v2//a/manifests/1",
        "/v2/a//b/manifests/1",
        "/v2/a/../b/manifests/1",
        "/v2/./a/manifests/1",
        "/v2/%2e%2e/a/manifests/1",
        "/v2/A/manifests/1",
        "/v2/a%20b/manifests/1",
        "/v2/a\\b/manifests/1",
        "/v2/manifests/1",
        "/v2//manifests/1",
        "/v2/a%zz/manifests/1",
        "/v2/docker.io//a/manifests/1",
    ] {
        assert!(matches!(get(uri), Err(RouteError::Name(_) | RouteError::Encoding)), "{uri}");
    }
    for reference in ["", "..", "-a", "sha256:baddigeststring", "sha256:..%2e", "a:b", "a%20"] {
        let uri = format!("/v2/a/manifests/{reference}");
        assert!(matches!(get(&uri), Err(RouteError::Reference(_))), "{uri}");
    }
    for bad in ["", "sha256:abc", "latest", &digest().to_string().to_uppercase()] {
        for noun in ["blobs", "referrers"] {
            let uri = format!("/v2/a/{noun}/{bad}");
            assert!(matches!(get(&uri), Err(RouteError::Digest(_))), "{uri}");
        }
    }
}

#[test]
fn g48_every_write_is_refused() {
    let digest = digest();
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        for uri in [
            "/v2/",
            "/v2/a/manifests/1",
            "/v2/a/tags/list",
            &format!("/v2/a/blobs/{digest}"),
            &format!("/v2/a/referrers/{digest}"),
            "/v2/A/manifests/..",
        ] {
            assert_eq!(ask(&method, uri, &[]), Err(RouteError::Method), "{method} {uri}");
        }
        for uri in ["/v2/a/blobs/uploads/", "/v2/a/blobs/uploads", "/v2/a/blobs/uploads/4711"] {
            assert_eq!(ask(&method, uri, &[]), Err(RouteError::Upload), "{method} {uri}");
        }
    }
    assert_eq!(get("/v2/a/blobs/uploads/4711"), Err(RouteError::Upload));
    assert_eq!(get("/v2/_catalog?n=1"), Err(RouteError::Catalog));
}

#[test]
fn nothing_is_at_other_paths() {
    for uri in [
        "/",
        "/v1/",
        "/v2x",
        "/v22/a/manifests/1",
        "/v2/a",
        "/v2/a/b",
        "/v2/a/tags/",
        "/v2/a/tags/list/",
        "/healthz",
    ] {
        assert_eq!(get(uri), Err(RouteError::NoEndpoint), "{uri}");
    }
    let options = ask(&Method::OPTIONS, "*", &[]);
    assert_eq!(options, Err(RouteError::NoEndpoint));
}

#[test]
fn a_bad_parameter_is_named() {
    for (query, name) in [
        ("n=-1", "n"),
        ("n=x", "n"),
        ("n=1.5", "n"),
        ("last=%00", "last"),
        (&format!("last={}", "a".repeat(256)) as &str, "last"),
    ] {
        assert_eq!(
            get(&format!("/v2/a/tags/list?{query}")),
            Err(RouteError::Parameter(name)),
            "{query}"
        );
    }
    assert!(matches!(
        get("/v2/a/tags/list?n=99999999999999999999").unwrap().target,
        Target::Tags { count: Some(u32::MAX), .. }
    ));
    assert!(matches!(
        get("/v2/a/tags/list?n=0").unwrap().target,
        Target::Tags { count: Some(0), .. }
    ));
    assert!(matches!(get("/v2/a/tags/list?n=").unwrap().target, Target::Tags { count: None, .. }));
    assert!(get("/v2/a/manifests/1?n=x&last=%00").is_ok());
}

proptest! {
    #[test]
    fn never_panics_and_every_image_is_canonical(path in ".*", query in ".{0,20}", host in "[ -~]{0,20}") {
        if let Ok(uri) = format!("/v2/{path}?{query}").parse::<Uri>() {
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().unwrap());
            let asked = Asked { method: &Method::GET, uri: &uri, headers: &headers, door: None };
            if let Ok(route) = Route::parse(asked, &table())
                && let Some(image) = route.target.image()
            {
                prop_assert_eq!(table().parse_image(&image.to_string()), Ok(image.clone()));
            }
        }
    }

    #[test]
    fn a_repository_by_the_grammar_is_found_whatever_it_holds(
        name in "(a|b0|manifests|blobs|tags|list|uploads|docker\\.io|quay\\.io)(/(a|manifests|blobs|tags|list|uploads|referrers)){0,4}",
        encode: bool,
    ) {
        let written = if encode { name.replace('a', "%61") } else { name.clone() };
        let found = image(&format!("/v2/{written}/manifests/v1"));
        prop_assert_eq!(found, table().parse_image(&if name.contains('/') && !name.starts_with("docker.io/") {
            format!("docker.io/{name}")
        } else if name.contains('/') {
            name
        } else {
            format!("docker.io/library/{name}")
        }).unwrap().to_string());
    }
}
