//! From a document to the parts of a policy. What is wrong with a part is reported, and the next
//! part is read all the same.

use std::path::{Path, PathBuf};

use toml::{Spanned, de::DeTable};

use super::{
    authority::{self, Authority, Folder},
    document::{Report, Section},
    require,
    rule::{self, Denial, Exception, Rule},
    trust_root::TrustRoots,
};
use crate::oci::UpstreamTable;

/// The parts of a policy, each of them right in itself.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) authorities: Vec<Authority>,
    pub(super) rules: Vec<Rule>,
    pub(super) denials: Vec<Denial>,
    pub(super) exceptions: Vec<Exception>,
    /// The files that were named.
    pub(super) files: Vec<PathBuf>,
}

/// Reads `document`. What is wrong with it is in `report` afterwards.
pub(super) fn check(
    document: &Spanned<DeTable<'_>>,
    report: &Report<'_>,
    folder: &Path,
    table: &UpstreamTable,
) -> Parts {
    let root = Section::root(document, report);
    check_version(&root);
    let (folder, roots) = (Folder::new(folder), TrustRoots::default());
    let mut authorities = authority::Reader { folder, table, roots };
    let mut parts = Parts::default();
    let mut names = Vec::new();
    if let Some(section) = root.field("authority").and_then(|field| field.section()) {
        for (name, field) in section.fields() {
            names.push(name.to_owned());
            parts.authorities.extend(authorities.read(name, &field));
        }
    }
    let reader = rule::Reader { requirements: require::Reader { authorities: &names }, table };
    parts.files = authorities.folder.into_files();
    parts.rules = entries(&root, "rule", |section| reader.rule(section));
    parts.denials = entries(&root, "deny", |section| reader.denial(section));
    parts.exceptions = entries(&root, "exception", |section| reader.exception(section));
    root.finish();
    parts
}

fn check_version(root: &Section<'_, '_>) {
    match root.field("version") {
        None => root.problem("has no `version`", "begin the policy with `version = 1`"),
        Some(field) => {
            if field.number().is_some_and(|version| version != VERSION) {
                field.problem(
                    format!("only version {VERSION} of the policy language is known"),
                    "write `version = 1`",
                );
            }
        }
    }
}

/// The right ones among the tables called `name`: `[[rule]]`.
fn entries<'d, 'r, T>(
    root: &Section<'d, 'r>,
    name: &'static str,
    read: impl Fn(Section<'d, 'r>) -> Option<T>,
) -> Vec<T> {
    let fields = root.field(name).and_then(|field| field.list()).unwrap_or_default();
    fields.iter().filter_map(|field| read(field.section()?)).collect()
}

/// The version of the policy language.
const VERSION: u64 = 1;
