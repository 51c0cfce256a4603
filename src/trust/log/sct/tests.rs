use proptest::prelude::*;
use rcgen::CustomExtension;
use serde_json::Value;

use super::*;
use crate::trust::{
    root::fixtures::{empty, log, parsed, span, with},
    x509::fixtures::{Issued, at, extension, fulcio, plan},
};

/// Two logs of certificates and an authority whose certificates they see.
struct Logs {
    root: Value,
    logs: [Issued; 2],
    authority: Issued,
}

impl Logs {
    fn new() -> Self {
        let [first, second, authority] =
            ["first", "second", "authority"].map(|name| Issued::authority(name, None));
        let root = with(empty(), "ctlogs", log("https://first.test", &first));
        let root = with(root, "ctlogs", log("https://second.test", &second));
        Self { root, logs: [first, second], authority }
    }

    /// A certificate with the receipts that `receipts` makes for it as it was before.
    fn certificate(&self, receipts: impl FnOnce(&[u8]) -> Vec<Vec<u8>>) -> Certificate {
        let before = Issued::new(Some(&self.authority), plan(fulcio(6, "https://x.test"))).unwrap();
        let list: Vec<u8> = receipts(before.certificate.signed_part())
            .iter()
            .flat_map(|receipt| counted(receipt))
            .collect();
        before.again(&self.authority, with_list(&counted(&list))).certificate
    }

    /// The receipt of a log for what was `before`, at a second.
    fn receipt(&self, log: usize, before: &[u8], second: u64, extensions: &[u8]) -> Vec<u8> {
        let key = self.logs[log].certificate.public_key();
        let time = at(second).duration_since(UNIX_EPOCH).unwrap().as_millis();
        let time = u64::try_from(time).unwrap().to_be_bytes();
        let issuer = self.authority.certificate.public_key().fingerprint();
        let length = u32::try_from(before.len()).unwrap().to_be_bytes();
        let message = [
            &[0, 0][..],
            &time,
            &[0, 1],
            issuer.as_bytes(),
            &length[1..],
            before,
            &counted(extensions),
        ];
        let signature = self.logs[log].sign(&message.concat());
        let id = key.fingerprint();
        [&[0], &id.as_bytes()[..], &time, &counted(extensions), &[4, 3], &counted(&signature)]
            .concat()
    }

    fn count(&self, certificate: &Certificate) -> Result<usize, Malformed> {
        count_receipts(certificate, &self.authority.certificate, &parsed(&self.root))
    }
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn with_list(list: &[u8]) -> CustomExtension {
    let list = wrapped(Tag::OctetString, list).unwrap();
    extension(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], false, &list)
}

#[test]
fn a_log_that_has_seen_the_certificate_counts_once() {
    let logs = Logs::new();
    let count = |receipts: &[(usize, u64, &[u8])]| {
        let certificate = logs.certificate(|before| {
            let receipt = |(log, second, more): &(usize, u64, &[u8])| {
                logs.receipt(*log, before, *second, more)
            };
            receipts.iter().map(receipt).collect()
        });
        logs.count(&certificate).unwrap()
    };
    assert_eq!(count(&[(0, 150, &[])]), 1);
    assert_eq!(count(&[(0, 150, &[0, 0, 5, 1, 2, 3, 4, 5])]), 1, "static logs have extensions");
    assert_eq!(count(&[(0, 150, &[]), (1, 151, &[])]), 2);
    assert_eq!(count(&[(0, 150, &[]), (0, 151, &[])]), 1, "G-27: one log twice");
    assert_eq!(count(&[(0, 50, &[])]), 1, "G-28: the ends are included");
    assert_eq!(count(&[(0, 49, &[])]), 0);
    assert_eq!(count(&[(0, 501, &[])]), 0);
}

#[test]
fn a_receipt_is_for_this_certificate_from_this_issuer() {
    let logs = Logs::new();
    let good = logs.certificate(|before| vec![logs.receipt(0, before, 150, &[])]);
    let other = Issued::authority("authority", None).certificate;
    assert_eq!(count_receipts(&good, &other, &parsed(&logs.root)), Ok(0), "another issuer");
    assert_eq!(count_receipts(&good, &logs.authority.certificate, &parsed(&empty())), Ok(0));
    let foreign = logs.certificate(|_| vec![logs.receipt(0, b"another", 150, &[])]);
    assert_eq!(logs.count(&foreign), Ok(0));
    let none = Issued::new(Some(&logs.authority), plan(Vec::new())).unwrap().certificate;
    assert_eq!(logs.count(&none), Ok(0));
    let mut narrow = logs.root.clone();
    narrow["ctlogs"][0]["publicKey"]["validFor"] = span(0, 149);
    assert_eq!(count_receipts(&good, &logs.authority.certificate, &parsed(&narrow)), Ok(0));
}

#[test]
fn every_field_of_a_receipt_is_signed() {
    let logs = Logs::new();
    let length = logs.receipt(0, b"", 150, &[]).len();
    // Up to the signature, whose own length varies.
    for at in 0..length.min(47) {
        let changed = logs.certificate(|before| {
            let mut receipt = logs.receipt(0, before, 150, &[]);
            receipt[at] ^= 1;
            vec![receipt]
        });
        assert_ne!(logs.count(&changed), Ok(1), "byte {at}");
    }
}

#[test]
fn a_list_of_receipts_is_exact() {
    let logs = Logs::new();
    let receipt = logs.receipt(0, b"", 150, &[]);
    let good = counted(&counted(&receipt));
    assert!(read_list(&good).is_some());
    let many = counted(&counted(&receipt).repeat(17));
    for bad in [
        &[][..],
        &[0, 0],
        &good[..good.len() - 1],
        &[&good[..], &[0]].concat(),
        &counted(&[&counted(&receipt)[..], &[0]].concat()),
        &counted(&counted(&[&receipt[..], &[0]].concat())),
        &many,
    ] {
        assert_eq!(read_list(bad), None, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn g18_reading_never_panics(bytes: Vec<u8>) {
        let _ = read_list(&bytes);
        let _ = read_list(&counted(&counted(&bytes)));
    }
}
