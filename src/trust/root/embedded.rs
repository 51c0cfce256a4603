//! The trust roots that come with the program, for those who start without a network.
//!
//! They are data, as the `sigstore-trust-root` crate 0.15.1 carries them: `public-good.json` is the
//! target `trusted_root.json` of `https://tuf-repo-cdn.sigstore.dev`, `github.json` that of
//! `https://tuf-repo.github.com`. What they hold ends at different times
//! ([`TrustedRoot::expiries`]); TUF replaces them as a whole.

use std::sync::LazyLock;

use super::TrustedRoot;

/// A root that comes with the program.
#[derive(Debug)]
pub(in crate::trust) struct Embedded {
    /// What a policy calls it.
    pub(in crate::trust) name: &'static str,
    /// The day of the release that it was copied from.
    pub(in crate::trust) date: &'static str,
    /// The file as it was copied.
    pub(in crate::trust) document: &'static str,
}

/// Every root that comes with the program.
pub(in crate::trust) static ALL: [Embedded; 2] = [
    Embedded {
        name: "public-good",
        date: "2026-10-23",
        document: include_str!("public-good.json"),
    },
    Embedded { name: "github", date: "2026-10-23", document: include_str!("github.json") },
];

/// The root that comes with the program under `name`.
pub(in crate::trust) fn root(name: &str) -> Option<&'static TrustedRoot> {
    static ROOTS: LazyLock<Vec<TrustedRoot>> = LazyLock::new(|| {
        let parse = |embedded: &Embedded| TrustedRoot::parse(embedded.document.as_bytes());
        ALL.iter().map(|embedded| parse(embedded).expect("a test reads every one")).collect()
    });
    let position = ALL.iter().position(|embedded| embedded.name == name)?;
    ROOTS.get(position)
}
