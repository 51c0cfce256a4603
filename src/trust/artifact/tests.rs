use serde_json::{Value, json};

use super::*;
use crate::oci::Digest;

const BUNDLE: &str = bundle::MEDIA_TYPES[0];
const PAYLOAD: &str = r#"{"critical":{"identity":{"docker-reference":"registry.test/a"},"image":{"docker-manifest-digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},"type":"cosign container image signature"},"optional":null}"#;

/// What cosign puts under `sha256-<hex>.sig`.
fn signature() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": OCI_CONFIG, "size": 233, "digest": Digest::of(b"config").to_string()},
        "layers": [{
            "mediaType": COSIGN_SIMPLE_SIGNING,
            "size": PAYLOAD.len(),
            "digest": Digest::of(PAYLOAD.as_bytes()).to_string(),
            "annotations": {SIGNATURE: "AAAA"},
        }],
    })
}

/// What cosign 3 attaches as a referrer.
fn bundle() -> Value {
    let mut manifest = signature();
    manifest["config"]["mediaType"] = json!(OCI_EMPTY);
    manifest["config"]["size"] = json!(2);
    manifest["layers"][0]["mediaType"] = json!(BUNDLE);
    manifest["subject"] =
        json!({"mediaType": "x/y", "size": 1, "digest": Digest::of(b"image").to_string()});
    manifest
}

fn readable(manifest: &Value) -> bool {
    is_signature_artifact(&Manifest::parse(manifest.to_string().as_bytes(), None).unwrap())
}

fn changed(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    manifest.pointer_mut(parent).unwrap()[name] = value;
    manifest
}

#[test]
fn signatures_are_readable() {
    assert!(readable(&signature()));
    assert!(readable(&bundle()));
    let spelling = json!(bundle::MEDIA_TYPES[1]);
    assert!(readable(&changed(bundle(), "/layers/0/mediaType", spelling)));
    let kind = json!(COSIGN_SIGNATURE_ARTIFACT);
    assert!(readable(&changed(signature(), "/config/mediaType", kind)));
    let attestation = changed(signature(), "/layers/0/mediaType", json!(DSSE_ENVELOPE));
    assert!(readable(&changed(attestation, "/layers/0/annotations", json!({SIGNATURE: ""}))));
    let notation = changed(bundle(), "/layers/0/mediaType", json!(notation::JWS));
    assert!(readable(&notation));
    assert!(readable(&changed(bundle(), "/layers/0/mediaType", json!(notation::COSE))));
    assert!(readable(&changed(notation, "/config/mediaType", json!(notation::ARTIFACT))));
}

#[test]
fn g48_an_image_in_the_place_of_a_signature_is_not_readable() {
    let layer = |kind: &str| changed(signature(), "/layers/0/mediaType", json!(kind));
    let two = |kind: &str| {
        let mut manifest = signature();
        let mut other = manifest["layers"][0].clone();
        other["mediaType"] = json!(kind);
        manifest["layers"].as_array_mut().unwrap().push(other);
        manifest
    };
    for (what, manifest) in [
        ("an image layer", layer("application/vnd.oci.image.layer.v1.tar+gzip")),
        ("a Docker layer", layer("application/vnd.docker.image.rootfs.diff.tar.gzip")),
        ("COSE, which may be a tar archive", layer("application/cose")),
        ("a type with a suffix", layer(&format!("{COSIGN_SIMPLE_SIGNING}+gzip"))),
        ("a layer beside a signature", two("application/vnd.oci.image.layer.v1.tar")),
        ("two kinds of signatures", two(DSSE_ENVELOPE)),
        ("no layer", changed(signature(), "/layers", json!([]))),
        ("a large layer", changed(signature(), "/layers/0/size", json!(65_537))),
        ("no signature", changed(signature(), "/layers/0/annotations", json!({}))),
        (
            "an empty signature",
            changed(signature(), "/layers/0/annotations", json!({SIGNATURE: ""})),
        ),
        (
            "a broken signature",
            changed(signature(), "/layers/0/annotations", json!({SIGNATURE: "A"})),
        ),
        ("a large configuration", changed(signature(), "/config/size", json!(16_385))),
        (
            "a Docker configuration",
            changed(
                signature(),
                "/config/mediaType",
                json!("application/vnd.docker.container.image.v1+json"),
            ),
        ),
        ("an empty configuration of 3 bytes", changed(bundle(), "/config/size", json!(3))),
        (
            "a bundle with an image's configuration",
            changed(bundle(), "/config/mediaType", json!(OCI_CONFIG)),
        ),
        ("a bundle of nothing", changed(bundle(), "/subject", Value::Null)),
        (
            "a Docker manifest",
            changed(
                signature(),
                "/mediaType",
                json!("application/vnd.docker.distribution.manifest.v2+json"),
            ),
        ),
        ("many layers", {
            let layer = signature()["layers"][0].clone();
            changed(signature(), "/layers", json!(vec![layer; MAX_SIGNATURES + 1]))
        }),
    ] {
        assert!(!readable(&manifest), "{what} is readable");
    }
    let index = br#"{"schemaVersion":2,"manifests":[],"artifactType":"application/vnd.dev.cosign.artifact.sig.v1+json"}"#;
    assert!(!is_signature_artifact(&Manifest::parse(index, None).unwrap()));
}

fn layers() -> Vec<Descriptor> {
    let manifest = Manifest::parse(signature().to_string().as_bytes(), None).unwrap();
    match manifest.shape {
        Shape::Image { layers, .. } => layers,
        Shape::Index { .. } => panic!("not an image"),
    }
}

fn config() -> Value {
    json!({
        "architecture": "", "created": "0001-01-01T00:00:00Z", "os": "", "config": {},
        "history": [{"created": "0001-01-01T00:00:00Z"}],
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(PAYLOAD.as_bytes()).to_string()]},
    })
}

#[test]
fn g48_a_configuration_describes_nothing_to_run() {
    let reads =
        |config: &Value| is_signature_config(OCI_CONFIG, config.to_string().as_bytes(), &layers());
    assert!(reads(&config()));
    assert!(reads(&json!({})));
    assert!(reads(&changed(config(), "/rootfs/diff_ids", Value::Null)));
    assert!(is_signature_config(OCI_EMPTY, b"{}", &layers()));
    for (pointer, value) in [
        ("/config", json!({"Entrypoint": ["/bin/sh"]})),
        ("/config", json!({"Env": []})),
        ("/config", json!([])),
        ("/architecture", json!("amd64")),
        ("/os", json!("linux")),
        ("/os.version", json!("")),
        ("/container_config", json!({"Cmd": ["sh"]})),
        ("/history", json!([{"created": "x"}, {"created": "x"}])),
        ("/history", json!([{"created": "x", "empty_layer": true}])),
        ("/history", json!([{"created": {}}])),
        ("/rootfs/type", json!("tar")),
        ("/rootfs/diff_ids", json!([Digest::of(b"a layer").to_string()])),
        ("/rootfs/diff_ids", json!([1])),
        ("/rootfs/more", json!(1)),
    ] {
        assert!(!reads(&changed(config(), pointer, value.clone())), "{pointer} = {value}");
    }
    let twice = config().to_string().replacen('{', r#"{"config":{},"#, 1);
    assert!(!is_signature_config(OCI_CONFIG, twice.as_bytes(), &layers()));
    assert!(!is_signature_config(OCI_EMPTY, b"{ }", &layers()));
    assert!(!is_signature_config("text/plain", b"{}", &layers()));
}

#[test]
fn g48_a_payload_is_what_it_claims() {
    let dsse = r#"{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}"#;
    let bundle = r#"{"mediaType":"x","verificationMaterial":{},"dsseEnvelope":{}}"#;
    let jws = r#"{"payload":"","protected":"","header":{},"signature":""}"#;
    for (media_type, good) in [
        (COSIGN_SIMPLE_SIGNING, PAYLOAD),
        (DSSE_ENVELOPE, dsse),
        (BUNDLE, bundle),
        (notation::JWS, jws),
    ] {
        assert!(is_signature_payload(media_type, good.as_bytes()), "{media_type}");
        for bad in [
            String::new(),
            "{}".to_owned(),
            "\u{1f}\u{8b}".to_owned(),
            format!("{good}{}", "\0".repeat(512)),
            good.replacen('{', r#"{"more":1,"#, 1),
            good.replacen('{', r#"{"payload":"","#, 1),
            good[1..].to_owned(),
        ] {
            assert!(!is_signature_payload(media_type, bad.as_bytes()), "{media_type}: {bad:.40}");
        }
    }
    let both =
        r#"{"mediaType":"x","verificationMaterial":{},"dsseEnvelope":{},"messageSignature":{}}"#;
    assert!(!is_signature_payload(BUNDLE, both.as_bytes()));
    assert!(!is_signature_payload("application/cose", b"\xd2\x84"));
    assert!(!is_signature_payload("application/vnd.oci.image.layer.v1.tar", PAYLOAD.as_bytes()));
    let large = format!("{PAYLOAD}{}", " ".repeat(64 << 10));
    assert!(!is_signature_payload(COSIGN_SIMPLE_SIGNING, large.as_bytes()));
}

proptest::proptest! {
    #[test]
    fn g18_looking_at_content_never_panics(content: Vec<u8>, pick in 0_usize..4) {
        let media_type = [COSIGN_SIMPLE_SIGNING, DSSE_ENVELOPE, BUNDLE, notation::JWS][pick];
        let _ = is_signature_payload(media_type, &content);
        let _ = is_signature_config(OCI_CONFIG, &content, &layers());
    }
}

/// A tar archive of one empty file whose name begins as a COSE envelope does.
fn tar() -> Vec<u8> {
    let mut header = vec![0; TAR_HEADER];
    header[..4].copy_from_slice(&[0xd2, 0x84, 0x40, 0xa0]);
    header[124..136].copy_from_slice(b"00000000000\0");
    header[TAR_CHECKSUM].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[TAR_CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[test]
fn g48_an_envelope_is_no_tar_archive() {
    let mut archive = tar();
    assert!(is_tar(&archive));
    archive[0] ^= 1;
    assert!(!is_tar(&archive), "a header with a wrong checksum opens nothing");
    for content in [&tar()[..], &tar()[..511], b"", b"\xd2\x84"] {
        assert!(!is_signature_payload(notation::COSE, content));
    }
}
