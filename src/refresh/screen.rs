//! What the library would let pass: documents with two meanings, and keys that count twice.
//!
//! A threshold is a number of keys (TUF 1.0, 4.2); the library counts key ids, and one key may be
//! listed under several. A role whose ids share a key is refused before anybody counts
//! (RUSTSEC-2020-0024, CVE-2022-29173; G-34).

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use spki::der::Document;

use crate::trust::material::check_unambiguous;

/// Looks at one metadata file.
///
/// # Errors
/// Why it must not be used, in words.
pub(super) fn screen(document: &[u8]) -> Result<(), String> {
    check_unambiguous(document)?;
    let document: Value = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    let signed = &document["signed"];
    // A root has its roles by name, targets have theirs in a list, each with the keys beside it.
    let places = [(&signed["keys"], &signed["roles"]), {
        let delegations = &signed["delegations"];
        (&delegations["keys"], &delegations["roles"])
    }];
    for (keys, roles) in places {
        let Some(keys) = keys.as_object() else { continue };
        let roles: Vec<&Value> = match roles {
            Value::Object(roles) => roles.values().collect(),
            Value::Array(roles) => roles.iter().collect(),
            _ => continue,
        };
        roles.into_iter().try_for_each(|role| refuse_shared_keys(role, keys))?;
    }
    Ok(())
}

fn refuse_shared_keys(role: &Value, keys: &Map<String, Value>) -> Result<(), String> {
    let ids: BTreeSet<_> =
        role["keyids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut seen = BTreeSet::new();
    for key in ids.into_iter().filter_map(|id| keys.get(id)) {
        let Some(public) = key["keyval"]["public"].as_str() else { continue };
        if !seen.insert(material(public)) {
            return Err("one key has two ids in the same role".to_owned());
        }
    }
    Ok(())
}

/// What makes a key the key that it is, however it is written: the bit string at the end of a
/// `SubjectPublicKeyInfo`, or the bytes that are given in hex.
fn material(public: &str) -> Vec<u8> {
    let der = match Document::from_pem(public.trim()) {
        Ok((_, der)) => der.as_bytes().to_vec(),
        Err(_) => return public.trim().to_ascii_lowercase().into_bytes(),
    };
    match spki::SubjectPublicKeyInfoRef::try_from(der.as_slice()) {
        Ok(key) => crate::oci::digest::hex_of(key.subject_public_key.raw_bytes()).into_bytes(),
        Err(_) => der,
    }
}
