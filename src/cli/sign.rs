//! `portcullis sign`: a signature beside an image, as cosign puts it there.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use clap::Args;

use super::{
    failure::{CliError, Exit},
    output::Output,
    password,
    shared::Shared,
};
use crate::{
    config::{Config, Variables},
    environment::Environment,
    images::ImageArgument,
    oci::{Digest, ImageName, MediaType, Reference, Tag, reference::CosignSuffix},
    telemetry::Metrics,
    trust::signing::{PrivateKey, SignatureManifest, attach, decrypt},
    upstream::{Upstream, UpstreamError},
};

/// Signs an image as cosign does, and pushes the signature beside it.
///
/// What is signed is the digest of the manifest as it is fetched now. Signatures that are there already
/// stay. The registry is found among the configured upstreams; the password of the key comes from
/// `COSIGN_PASSWORD`, else from the terminal.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis sign registry.example/acme/app:1.0 --key release.key \\
      --upstream registry.example=https://registry.example
  portcullis sign nginx:1.27 --key release.key --signatures-in registry.example/approvals
  portcullis sign registry.example/acme/app@sha256:... --key release.key --output-dir out

With --output-dir nothing is pushed. `out` then holds payload.json and signature, which
`cosign attach signature` takes, and manifest.json and config.json, which belong under the tag.")]
pub struct Sign {
    /// What to sign
    #[arg(value_name = "IMAGE")]
    image: ImageArgument,
    /// The encrypted private key, as `keygen` and cosign write it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Write the signature into this folder instead of pushing it
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Push the signature into this repository, as COSIGN_REPOSITORY does for cosign
    #[arg(long, value_name = "REPOSITORY", conflicts_with = "output_dir")]
    signatures_in: Option<ImageArgument>,
    #[command(flatten)]
    shared: Shared,
}

impl Sign {
    /// Signs.
    pub(super) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.start(variables.clone(), output)?;
        let image = name_of(&self.image, &config)?;
        let home = match &self.signatures_in {
            Some(elsewhere) => name_of(elsewhere, &config)?,
            None => image.clone(),
        };
        let upstream = upstream_of(&image, &config, environment)?;
        let place = upstream_of(&home, &config, environment)?;
        let key = self.read_key(&variables)?;
        let digest = self.digest(&upstream, &image).await?;
        let tag = Tag::cosign(&digest, CosignSuffix::Signatures);
        let existing = existing(&place, &home, &tag).await?;
        let signed = attach(&key, &image, &digest, existing.as_deref());
        let signed = signed.map_err(|error| CliError::Failed(format!("cannot sign: {error}")))?;
        match &self.output_dir {
            Some(folder) => write(folder, &signed)?,
            None => push(&place, &home, &tag, signed).await?,
        }
        output.line(format_args!("signed     {image}@{digest}"))?;
        output.line(format_args!("with key   {}", key.public().fingerprint()))?;
        match &self.output_dir {
            Some(folder) => output.line(format_args!("written to {}", folder.display()))?,
            None => output.line(format_args!("pushed to  {home}:{tag}"))?,
        }
        Ok(Exit::Success)
    }

    fn read_key(&self, variables: &Variables) -> Result<PrivateKey, CliError> {
        let refused = |error: &dyn std::fmt::Display| {
            CliError::Usage(format!("cannot use the key `{}`: {error}", self.key.display()))
        };
        let file = fs::read(&self.key).map_err(|error| refused(&error))?;
        let password = password::existing(variables, &self.key)?;
        decrypt(&file, &password).map_err(|error| refused(&error))
    }

    /// The digest of what the registry has now, computed here.
    async fn digest(&self, upstream: &Upstream, image: &ImageName) -> Result<Digest, CliError> {
        let reference = self.image.reference_or_latest();
        let fetched = upstream.fetch_manifest(&image.repository, &reference).await;
        Ok(fetched.map_err(|error| failed(&format!("fetch `{}`", self.image), &error))?.digest)
    }
}

fn name_of(argument: &ImageArgument, config: &Config) -> Result<ImageName, CliError> {
    let image = argument.image(&config.table);
    image.map_err(|error| CliError::Usage(format!("`{argument}`: {error}")))
}

fn upstream_of(
    image: &ImageName,
    config: &Config,
    environment: &Environment,
) -> Result<Upstream, CliError> {
    let name = &image.upstream;
    let settings = config.upstreams.iter().find(|settings| settings.name == *name);
    let Some(settings) = settings else {
        return Err(CliError::Usage(format!(
            "`{name}` is not a configured upstream: add `--upstream {name}=https://{name}`, or an `[[upstream]]`"
        )));
    };
    Upstream::new(settings.clone(), environment, Arc::new(Metrics::new()))
        .map_err(|error| CliError::Usage(format!("upstream `{name}`: {error}")))
}

/// The manifest of the signatures that are there already.
async fn existing(
    place: &Upstream,
    home: &ImageName,
    tag: &Tag,
) -> Result<Option<Bytes>, CliError> {
    match place.fetch_manifest(&home.repository, &Reference::Tag(tag.clone())).await {
        Ok(manifest) => Ok(Some(manifest.bytes)),
        Err(UpstreamError::NotFound) => Ok(None),
        Err(error) => Err(failed(&format!("look for signatures at `{home}:{tag}`"), &error)),
    }
}

async fn push(
    place: &Upstream,
    home: &ImageName,
    tag: &Tag,
    signed: SignatureManifest,
) -> Result<(), CliError> {
    let not_pushed = |error: UpstreamError| failed(&format!("push to `{home}`"), &error);
    for blob in [signed.payload, signed.config] {
        place.publish_blob(&home.repository, blob).await.map_err(not_pushed)?;
    }
    let reference = Reference::Tag(tag.clone());
    let media_type = MediaType::OciManifest.as_str();
    place
        .publish_manifest(&home.repository, &reference, media_type, signed.manifest)
        .await
        .map(drop)
        .map_err(not_pushed)
}

fn write(folder: &Path, signed: &SignatureManifest) -> Result<(), CliError> {
    let files = [
        ("payload.json", signed.payload.as_ref()),
        ("signature", signed.signature.as_bytes()),
        ("config.json", signed.config.as_ref()),
        ("manifest.json", signed.manifest.as_ref()),
    ];
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, content) in files {
            File::create(folder.join(name))?.write_all(content)?;
        }
        Ok(())
    };
    write().map_err(|error| {
        CliError::Failed(format!("cannot write into `{}`: {error}", folder.display()))
    })
}

fn failed(what: &str, error: &UpstreamError) -> CliError {
    let step = match error {
        UpstreamError::Denied { .. } => {
            "; set `username` and a password for this upstream that may do it"
        }
        UpstreamError::NotFound => "; check the name",
        _ => "",
    };
    CliError::Failed(format!("cannot {what}: {error}{step}"))
}
