//! Who may know whom: the arrows of the architecture, read from the `use` of each file.
//!
//! `http -> mirror -> {trust, store, upstream} -> oci`; `trust`, `store` and `upstream` do not see
//! each other; `telemetry`, `units`, `secret` and `environment` are leaves; `app`, `cli` and the
//! program itself see all. A path in the code counts as much as one in a `use`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const LEAVES: [&str; 5] = ["environment", "secret", "telemetry", "timestamp", "units"];

/// What each room may see, beside itself and the leaves.
const ARROWS: [(&str, &[&str]); 20] = [
    ("archive", &["mirror", "oci", "store", "trust"]),
    ("audit", &["oci"]),
    ("config", &["http", "oci", "refresh", "tls", "trust", "upstream"]),
    ("environment", &[]),
    ("http", &["mirror", "oci", "tls"]),
    ("images", &["oci"]),
    ("limits", &["oci"]),
    ("mirror", &["audit", "oci", "store", "trust", "upstream"]),
    ("oci", &[]),
    ("recheck", &["audit", "mirror", "oci", "trust"]),
    ("refresh", &["oci", "trust", "upstream"]),
    ("reload", &["config", "http", "mirror", "oci", "refresh", "trust"]),
    ("secret", &[]),
    ("store", &["oci"]),
    ("telemetry", &[]),
    ("timestamp", &[]),
    ("tls", &["oci"]),
    ("trust", &["oci"]),
    ("units", &[]),
    ("upstream", &["oci", "tls"]),
];

/// Rooms that put the others together.
const SEE_ALL: [&str; 4] = ["app", "cli", "lib", "main"];

#[test]
fn every_file_sees_only_what_its_room_may_see() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let inside = file.strip_prefix(&source).expect("found below it");
        let room = room_of(inside);
        if SEE_ALL.contains(&&*room) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: room `{room}` has no arrows here", inside.display()));
            continue;
        };
        let text = fs::read_to_string(&file).expect("sources are UTF-8");
        for seen in rooms_seen(&text) {
            let leaf = LEAVES.contains(&&*seen) && !LEAVES.contains(&&*room);
            if seen != room && !leaf && !allowed.contains(&&*seen) {
                wrong.push(format!("{} sees `{seen}`", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the architecture does not have:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_has_grown_over_six_hundred_lines_before_its_tests() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let long: Vec<_> = rust_files(&source)
        .into_iter()
        .filter_map(|file| {
            let text = fs::read_to_string(&file).expect("sources are UTF-8");
            let product = text.split("\nmod tests {").next().unwrap_or(&text);
            let lines = product.lines().count();
            (lines > 600).then(|| format!("{}: {lines}", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn paths_are_found_in_every_way_of_writing_them() {
    let text = "
        use crate::oci::Digest;
        use crate::{store::{Blob, Follower}, trust, upstream::UpstreamError as E};
        fn f() { crate::http::serve(); }
        // crate::cli is only talked about
        /// and [`crate::app`] too
    ";
    let seen: Vec<_> = rooms_seen(text).into_iter().collect();
    assert_eq!(seen, ["http", "oci", "store", "trust", "upstream"]);
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the sources are there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            found.push(path);
        }
    }
    found
}

/// Tests, and what is there for tests only, see what they need.
fn is_test(path: &Path) -> bool {
    const NAMES: [&str; 4] = ["fixtures.rs", "testing.rs", "tests", "tests.rs"];
    path.components().any(|part| NAMES.iter().any(|name| part.as_os_str() == *name))
}

/// The top folder of `path`, or the name of a file at the top.
fn room_of(path: &Path) -> String {
    let first = path.components().next().expect("a path below src").as_os_str();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The rooms that `text` names by paths from the root of the crate, comments and tests aside.
fn rooms_seen(text: &str) -> BTreeSet<String> {
    let product = text.split("\nmod tests {").next().unwrap_or(text);
    let code: String = product
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    code.split("crate::").skip(1).flat_map(first_names).collect()
}

/// The first segments of the path, or of the group of paths, that `rest` begins with.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let mut depth = 1;
    let mut names = Vec::new();
    let mut start = 0;
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                names.push(name(&group[start..place]));
                start = place + 1;
            }
            _ => {}
        }
        if depth == 0 {
            names.push(name(&group[start..place]));
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}
