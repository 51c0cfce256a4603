//! The catalogue of attacks has no gap: every id from G-1 to G-51 has a test that carries it in its name.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_attack_of_the_catalogue_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tested = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        collect(&root.join(folder), &mut tested);
    }
    let missing: Vec<_> = (1..=LAST).filter(|id| !tested.contains(id)).collect();
    assert!(missing.is_empty(), "without a test: {missing:?}");
}

/// Adds the ids in the names of tests: `fn g11_g12_...`.
fn collect(folder: &Path, tested: &mut BTreeSet<u32>) {
    for entry in fs::read_dir(folder).expect("a folder of this project") {
        let path = entry.expect("can be listed").path();
        if path.is_dir() {
            collect(&path, tested);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("Rust is UTF-8");
            for name in text.split("fn ").skip(1) {
                let ids =
                    name.split('_').map_while(|part| part.strip_prefix('g')?.parse::<u32>().ok());
                tested.extend(ids);
            }
        }
    }
}

const LAST: u32 = 51;
