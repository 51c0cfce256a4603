//! The usual scene: one upstream, one trusted key, and a mirror that asks for its signature.

use super::{Answer, Image, Key, Mirror, Setup, Signature, Upstream};

/// What the upstream is called, and what signatures therefore name.
pub(crate) const NAME: &str = "registry.test";

/// The policy of the usual scene.
pub(crate) const POLICY: &str = r#"
[authority.release]
key = "release.pub"

[[rule]]
match = "registry.test/**"
require = "release"
"#;

/// An upstream, a key and a mirror.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) upstream: Upstream,
    pub(crate) key: Key,
    pub(crate) mirror: Mirror,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|setup| setup).await
    }

    /// The usual scene, after `change`.
    pub(crate) async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::start().await;
        let key = Key::p256();
        let setup = Setup::new().upstream(NAME, &upstream).key("release.pub", &key).policy(POLICY);
        let mirror = change(setup).start().await;
        Self { upstream, key, mirror }
    }

    /// Pushes `image` to `repository` under `tag`, signed.
    pub(crate) fn push_signed(&self, repository: &str, tag: &str, image: &Image) {
        self.upstream.push(repository, tag, image);
        self.sign(repository, image);
    }

    /// Signs `image` for `repository`, replacing the signatures that are there.
    pub(crate) fn sign(&self, repository: &str, image: &Image) {
        let signature = self.signature(repository, image);
        self.upstream.attach(repository, &image.digest, &[signature]);
    }

    /// A right signature of `image` in `repository`, attached nowhere.
    pub(crate) fn signature(&self, repository: &str, image: &Image) -> Signature {
        Signature::by(&self.key, &format!("{NAME}/{repository}"), &image.digest)
    }

    /// Judges `image` with exactly `signatures`, in a repository of its own.
    pub(crate) async fn judge(
        &self,
        repository: &str,
        image: &Image,
        signatures: &[Signature],
    ) -> Answer {
        self.upstream.push(repository, "v1", image);
        self.upstream.attach(repository, &image.digest, signatures);
        self.mirror.manifest(repository, image.digest).await
    }
}
