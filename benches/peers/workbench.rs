//! Everything that a run needs, set up once: images, upstream, links, servers.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::calm::Calm;
use crate::content::{Image, Maker, TAG};
use crate::options::{Options, Scale};
use crate::peers::{Kind, Peer, UPSTREAM_NAME, lay_out};
use crate::programs::Programs;
use crate::slow_link::{Distance, SlowLink};
use crate::upstream::Upstream;
use crate::wire::Target;

/// A machine ready to be measured. Dropping it ends every server and removes every file.
#[derive(Debug)]
pub(crate) struct Workbench {
    // The servers come first: they are ended before their folder goes.
    /// The mirror, then its peers, all speaking plain HTTP.
    pub peers: Vec<Peer>,
    /// The mirror and nginx, speaking TLS 1.3.
    pub tls_peers: Vec<Peer>,
    pub upstream: Upstream,
    /// A counting link to the upstream without delay.
    pub near: SlowLink,
    /// A link to the upstream with [`ROUND_TRIP`].
    pub far: SlowLink,
    /// A link of 1 Gbit/s.
    pub gigabit: SlowLink,
    pub images: Images,
    pub programs: Programs,
    pub options: Options,
    pub scale: Scale,
    pub calm: Calm,
    pub folder: tempfile::TempDir,
    policy: PathBuf,
}

/// The images, all signed except those of `open`.
#[derive(Debug)]
pub(crate) struct Images {
    /// One big layer and a small one.
    pub image: Image,
    /// One layer that many clients want at once.
    pub crowd: Image,
    /// Opens the connections to the upstream before something is timed.
    pub warm: Image,
    /// Never pulled before; the policy wants a signature.
    pub signed: Vec<Image>,
    /// Never pulled before; the policy wants nothing.
    pub open: Vec<Image>,
    /// Twenty small layers.
    pub layers: Image,
    /// Together more than a small cache holds.
    pub churn: Image,
}

impl Workbench {
    /// Makes the images, starts the upstream and every peer.
    pub(crate) fn set_up(options: &Options) -> Result<Self> {
        let (scale, programs) = (options.scale(), Programs::find());
        let folder =
            tempfile::Builder::new().prefix("peers.").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        eprintln!("images and servers in `{}`", folder.path().display());
        let images = Images::make(&Maker::new(folder.path().join("content"))?, scale)?;

        let registry = programs.distribution.as_deref().or(programs.debian.as_deref());
        let registry =
            registry.context("no registry to pull from: run `benches/peers/install.sh`")?;
        let port = if options.upstream_port == 0 { free_port()? } else { options.upstream_port };
        let upstream = Upstream::start(registry, loopback(port), &folder.path().join("upstream"))?;
        for image in images.all() {
            upstream.push(image)?;
        }
        let address = upstream.target.address;
        let policy = sign(&options.mirror, address, folder.path(), &images)?;

        let mut workbench = Self {
            peers: Vec::new(),
            tls_peers: Vec::new(),
            near: SlowLink::start(address, Distance::default())?,
            far: SlowLink::start(address, Distance { round_trip: ROUND_TRIP, rate: None })?,
            gigabit: SlowLink::start(address, GIGABIT)?,
            upstream,
            images,
            programs,
            options: options.clone(),
            scale,
            calm: Calm::new(Duration::from_secs(if options.quick { 0 } else { 3 })),
            folder,
            policy,
        };
        workbench.add_peers()?;
        workbench.add_tls_peers()?;
        Ok(workbench)
    }

    /// The mirror that is compared with everybody.
    pub(crate) fn mirror(&mut self) -> &mut Peer {
        &mut self.peers[0]
    }

    /// Another instance of the mirror, not started, in front of `upstream`.
    pub(crate) fn another_mirror(
        &self,
        name: &str,
        upstream: SocketAddr,
        max_size: Option<&'static str>,
    ) -> Result<Peer> {
        let kind = Kind::Mirror {
            program: self.options.mirror.clone(),
            upstream,
            policy: self.policy.clone(),
            tls: None,
            max_size,
        };
        Ok(Peer::new(
            MIRROR,
            Target::plain(loopback(free_port()?)),
            kind,
            self.folder.path().join(name),
        ))
    }

    /// The policy that every mirror of this run obeys.
    pub(crate) fn policy(&self) -> &Path {
        &self.policy
    }

    /// The same policy among 998 rules for other repositories.
    pub(crate) fn policy_of_many_rules(&self) -> Result<PathBuf> {
        let mut text = fs::read_to_string(&self.policy)?;
        for number in 0..998 {
            writeln!(
                text,
                "[[rule]]\nmatch = '{UPSTREAM_NAME}/team-{number}/**'\nrequire = 'bench'"
            )?;
        }
        let path = self.policy.with_file_name("policy-of-many-rules.toml");
        fs::write(&path, text)?;
        Ok(path)
    }

    fn add_peers(&mut self) -> Result<()> {
        let upstream = self.upstream.target.address;
        self.peers.push(self.another_mirror(MIRROR, upstream, None)?);
        if let Some(program) = self.programs.nginx.clone() {
            self.add(NGINX, Kind::Nginx { program, tls: None })?;
        }
        let registries = [
            ("docker-registry", &self.programs.debian),
            ("distribution", &self.programs.distribution),
        ]
        .map(|(name, program)| (name, program.clone()));
        for (name, program) in registries {
            if let Some(program) = program {
                self.add(name, Kind::Registry { program, upstream })?;
            }
        }
        for peer in &mut self.peers {
            peer.start()?;
        }
        for extra in &self.options.extras {
            eprintln!(
                "waiting for `{}` at http://{}, a mirror of http://{upstream}",
                extra.name, extra.address
            );
            let folder = self.folder.path().join(&extra.name);
            let mut peer =
                Peer::new(&extra.name, Target::plain(extra.address), Kind::Extra, folder);
            peer.start()?;
            self.peers.push(peer);
        }
        Ok(())
    }

    fn add(&mut self, name: &str, kind: Kind) -> Result<()> {
        if self.options.without.iter().any(|without| without == name) {
            return Ok(());
        }
        let folder = self.folder.path().join(name);
        if matches!(kind, Kind::Nginx { .. }) {
            for image in [&self.images.image, &self.images.crowd] {
                lay_out(&folder, image)?;
            }
        }
        self.peers.push(Peer::new(name, Target::plain(loopback(free_port()?)), kind, folder));
        Ok(())
    }

    fn add_tls_peers(&mut self) -> Result<()> {
        let Some(nginx) = self.programs.nginx.clone() else { return Ok(()) };
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) =
            (self.folder.path().join("tls.crt"), self.folder.path().join("tls.key"));
        fs::write(&certificate, certified.cert.pem())?;
        fs::write(&key, certified.signing_key.serialize_pem())?;
        let client = client_configuration(certified.cert.der())?;
        let tls = Some((certificate, key));

        let mut mirror =
            self.another_mirror("portcullis-tls", self.upstream.target.address, None)?;
        if let Kind::Mirror { tls: server, .. } = &mut mirror.kind {
            server.clone_from(&tls);
        }
        let folder = self.folder.path().join("nginx-tls");
        lay_out(&folder, &self.images.image)?;
        let target = Target::plain(loopback(free_port()?));
        let nginx = Peer::new(NGINX, target, Kind::Nginx { program: nginx, tls }, folder);
        for mut peer in [mirror, nginx] {
            peer.target.tls = Some(client.clone());
            peer.start()?;
            self.tls_peers.push(peer);
        }
        Ok(())
    }
}

impl Images {
    fn make(maker: &Maker, scale: Scale) -> Result<Self> {
        let first = |group: &str| -> Result<Vec<Image>> {
            (0..scale.first_pulls)
                .map(|index| maker.image(&format!("{group}/first-{index}"), &[SMALL]))
                .collect()
        };
        Ok(Self {
            image: maker.image("bench/image", &[scale.blob, SMALL])?,
            crowd: maker.image("bench/crowd", &[scale.crowd_blob])?,
            warm: maker.image("bench/warm", &[SMALL])?,
            signed: first("bench")?,
            open: first("open")?,
            layers: maker.image("bench/layers", &[256 * 1024; 20])?,
            churn: maker.image("bench/churn", &[CHURN; 20])?,
        })
    }

    fn signed(&self) -> impl Iterator<Item = &Image> {
        [&self.image, &self.crowd, &self.warm, &self.layers, &self.churn]
            .into_iter()
            .chain(&self.signed)
    }

    fn all(&self) -> impl Iterator<Item = &Image> {
        self.signed().chain(&self.open)
    }
}

/// Signs the images with the mirror's own commands, and writes the policy that asks for it.
fn sign(mirror: &Path, upstream: SocketAddr, folder: &Path, images: &Images) -> Result<PathBuf> {
    let run = |arguments: &[&str]| -> Result<()> {
        let output = Command::new(mirror)
            .args(arguments)
            .env("COSIGN_PASSWORD", "benchmark")
            .current_dir(folder)
            .output()?;
        ensure!(
            output.status.success(),
            "`portcullis {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    };
    run(&["keygen", "bench"])?;
    let upstream = format!("{UPSTREAM_NAME}=http://{upstream}");
    for image in images.signed() {
        let name = format!("{UPSTREAM_NAME}/{}:{TAG}", image.repository);
        run(&["sign", &name, "--key", "bench.key", "--upstream", &upstream])?;
    }
    let policy = folder.join("policy.toml");
    fs::write(
        &policy,
        format!(
            "version = 1\n\
             [authority.bench]\nkey = 'bench.pub'\n\
             [[rule]]\nmatch = '{UPSTREAM_NAME}/bench/**'\nrequire = 'bench'\n\
             [[rule]]\nmatch = '{UPSTREAM_NAME}/open/**'\nrequire = 'insecure-accept-anything'\n"
        ),
    )?;
    Ok(policy)
}

fn client_configuration(certificate: &CertificateDer<'static>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let configuration = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(configuration))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(loopback(0))?.local_addr()?.port())
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The names in the table.
pub(crate) const MIRROR: &str = "portcullis";
pub(crate) const NGINX: &str = "nginx";

/// How far the far upstream is.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(20);

/// What a network of one gigabit moves, at the distance of the next building.
const GIGABIT: Distance =
    Distance { round_trip: Duration::from_millis(1), rate: Some(125_000_000) };

const SMALL: u64 = 2_000;
const CHURN: u64 = 20_000_000;
