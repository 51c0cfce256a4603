//! The media types the mirror knows by meaning. Others pass through as text.

/// What a manifest's media type says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// Docker's image manifest, version 2, schema 2.
    DockerManifest,
    /// Docker's manifest list.
    DockerManifestList,
    /// Docker's old manifest, signed or not: refused, its content is not what its digest covers.
    DockerSchema1,
    /// OCI image index.
    OciIndex,
    /// OCI image manifest.
    OciManifest,
}

impl MediaType {
    /// The media type that `text` spells, parameters and case aside; `None` for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(essence)).or_else(
            || {
                essence
                    .eq_ignore_ascii_case(DOCKER_SCHEMA_1_UNSIGNED)
                    .then_some(Self::DockerSchema1)
            },
        )
    }

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerManifestList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::DockerSchema1 => "application/vnd.docker.distribution.manifest.v1+prettyjws",
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
        }
    }

    /// Every kind that can be served, in the order in which they are asked of an upstream.
    pub const SERVED: [Self; 4] =
        [Self::OciIndex, Self::OciManifest, Self::DockerManifestList, Self::DockerManifest];

    const ALL: [Self; 5] = [
        Self::DockerManifest,
        Self::DockerManifestList,
        Self::DockerSchema1,
        Self::OciIndex,
        Self::OciManifest,
    ];
}

/// The other spelling of schema 1.
const DOCKER_SCHEMA_1_UNSIGNED: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The payload of a classic cosign signature.
pub const COSIGN_SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The `artifactType` of a classic cosign signature kept as a referrer.
pub const COSIGN_SIGNATURE_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// A DSSE envelope: the payload of cosign's `.att` tags.
pub const DSSE_ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The configuration of an OCI image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The empty configuration of an OCI artifact.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
