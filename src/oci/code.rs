//! Error codes a registry answers with: OCI distribution 1.1, "Error codes", and the two that
//! Docker's distribution added and every client tolerates.

/// The `code` member of an error body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The blob is not here.
    BlobUnknown,
    /// Policy, or the upstream, refuses access.
    Denied,
    /// The digest in the request is malformed.
    DigestInvalid,
    /// The manifest is not here.
    ManifestUnknown,
    /// The repository name is malformed.
    NameInvalid,
    /// The repository, or its upstream, is not known.
    NameUnknown,
    /// The requested range lies outside the blob (Docker's distribution uses the same word).
    RangeInvalid,
    /// The tag is malformed.
    TagInvalid,
    /// Somebody asked too often.
    TooManyRequests,
    /// Something needed for the answer could not be reached or done.
    Unavailable,
    /// Anything that is our own fault.
    Unknown,
    /// The method or path is not offered.
    Unsupported,
}

impl ErrorCode {
    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}
