//! Archives: images on a medium, for sites that no network reaches.
//!
//! An archive is an OCI image layout (OCI image specification 1.1, "Image layout") in a folder, a
//! tar file, or a tar file cut into volumes; skopeo, crane, oras and podman read it as it is. Beside
//! what the specification wants it holds:
//!
//! ```text
//! oci-layout, index.json, blobs/    the layout: images, signatures, attestations, referrers
//! portcullis.json                   the inventory: what is inside, judged how, and what is left out
//! portcullis.json.sig               the exporter's signature over the inventory, if there is a key
//! SHA256SUMS                        of the small files above, for `sha256sum -c`
//! ```
//! Writing ([`Plan`], [`Sink`]) takes what the near side's policy admits, with all its evidence in
//! the forms that it had. Reading ([`Archive`]) trusts nothing: names are parsed into [`EntryName`],
//! every fault is an [`ArchiveError`] with a name, every byte is hashed before anything refers to it.
//! An [`import`] is then a pull whose upstream is the archive: the mirror's own judge decides, by the
//! far side's policy, at the archive's evidence. The inventory decides nothing.
//!
//! Everything streams: what is held in memory are names, digests and one buffer for each transfer.

mod checksums;
mod entry;
mod error;
mod export;
mod extent;
mod folder;
mod import;
mod inventory;
mod item;
mod layout;
mod name;
mod open;
mod plan;
mod shelf;
mod sink;
mod stream;
mod tar;
mod volumes;

pub use self::{
    checksums::CHECKSUMS,
    entry::EntryName,
    error::ArchiveError,
    export::{Selection, export, require_space},
    import::{Import, import},
    inventory::{Base, Inventory, InventoryImage, SIGNATURE},
    item::{Item, Outcome},
    layout::{Archive, Reading},
    name::parse_full_name,
    open::open,
    plan::Plan,
    sink::Sink,
    stream::receive,
};
