//! The composition root: a checked configuration and an environment become a running mirror.
//!
//! This is the only file that names every part. Nothing here decides anything: it makes the parts in
//! the order in which they need each other, starts the listeners and the policy watch, and takes
//! everything down again in the opposite order.

mod desk;

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use self::desk::Desk;
use crate::{
    audit::{self, Audit, AuditError},
    config::Config,
    environment::Environment,
    http::{Admin, BindError, Doors, Server},
    mirror::{Freshness, Mirror, Origin, Parts},
    recheck,
    refresh::Refresher,
    reload::{PolicyKeeper, PolicyProblems, PolicySource},
    store::{self, Store, StoreError},
    telemetry::Metrics,
    tls::{self, TlsError},
    trust::Policy,
    upstream::{Upstream, UpstreamSetupError},
};

/// A mirror that listens and has not begun to serve.
#[derive(Debug)]
pub struct App {
    clients: Server,
    admin: Option<Server>,
    doors: Doors,
    desk: Admin,
    keeper: Arc<PolicyKeeper>,
    rechecking: Option<Rechecking>,
    refresher: Arc<Refresher>,
    kept: Kept,
}

impl App {
    /// Makes all parts and binds the listeners. Asks nothing of any upstream.
    ///
    /// # Errors
    /// [`StartError`] says which part could not be made.
    pub async fn start(config: Config, environment: &Environment) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let tls = match &config.listen.tls {
            Some(files) => Some(tls::server_config(&files.certificate, &files.key)?),
            None => None,
        };
        let (mirror, kept) = build(&config, environment, &metrics)?;
        let clients =
            Server::bind(config.listen.address, config.limits, tls, environment, &metrics).await?;
        let admin = match config.listen.admin {
            Some(address) => {
                Some(Server::bind(address, config.limits, None, environment, &metrics).await?)
            }
            None => None,
        };
        let refresher =
            Refresher::new((&config.trust).into(), environment.clone(), metrics.clone());
        let refresher = Arc::new(refresher);
        let keeper = PolicyKeeper::new(
            PolicySource::of(&config),
            mirror.clone(),
            refresher.clone(),
            environment.clone(),
            metrics.clone(),
        );
        let keeper = Arc::new(keeper);
        let log = config.data.join(audit::FOLDER);
        let rechecking = config.recheck_every.map(|every| {
            let environment = environment.clone();
            let work =
                recheck::on_schedule(mirror.clone(), Arc::from(log.as_path()), environment, every);
            Rechecking(Box::pin(work))
        });
        let operations = Arc::new(Desk { mirror: mirror.clone(), store: kept.store.clone(), log });
        let desk = Admin::new(metrics.clone(), keeper.clone(), operations);
        let doors = Doors::new(mirror, environment, metrics);
        Ok(Self { clients, admin, doors, desk, keeper, rechecking, refresher, kept })
    }

    /// Where clients connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.clients.address()
    }

    /// Where health and metrics are.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Server::address)
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.keeper.policy()
    }

    /// What loads the policy again, for whoever hears a signal.
    #[must_use]
    pub fn policy_keeper(&self) -> Arc<PolicyKeeper> {
        self.keeper.clone()
    }

    /// Serves until `stop` says so, then drains: nothing new is accepted, what streams may end
    /// within the limit, and the records are closed last.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) {
        let (tell, told) = watch::channel(false);
        let stopped = |mut told: watch::Receiver<bool>| async move {
            // An error means that the sender is gone, which is a stop too.
            let _ = told.wait_for(|stop| *stop).await;
        };
        let watching = tokio::spawn(self.keeper.clone().watch());
        let rechecking = self.rechecking.map(|Rechecking(work)| tokio::spawn(work));
        let needed = move || self.keeper.needed_roots();
        let refreshing = tokio::spawn(self.refresher.run(needed));
        let admin =
            self.admin.map(|admin| tokio::spawn(admin.serve(self.desk, stopped(told.clone()))));
        let clients = tokio::spawn(self.clients.serve(self.doors, stopped(told)));
        stop.await;
        tracing::info!("stopping: no new connections, finishing what streams");
        tell.send_replace(true);
        let _ = clients.await;
        if let Some(admin) = admin {
            let _ = admin.await;
        }
        watching.abort();
        if let Some(rechecking) = rechecking {
            rechecking.abort();
        }
        refreshing.abort();
        self.kept.close().await;
    }
}

/// The schedule by which everything is judged again; it never ends by itself.
struct Rechecking(BoxFuture<'static, ()>);

impl std::fmt::Debug for Rechecking {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Rechecking")
    }
}

/// A mirror without listeners, on the data directory of `config`, and what has to be closed after it.
///
/// # Errors
/// [`StartError`] says which part could not be made.
pub fn mirror(config: &Config, environment: &Environment) -> Result<(Mirror, Kept), StartError> {
    build(config, environment, &Arc::new(Metrics::new()))
}

/// What holds files open: closed last, by hand, since closing waits for the disk.
#[derive(Debug)]
pub struct Kept {
    audit: Audit,
    store: Store,
}

impl Kept {
    /// The store, for commands that carry images.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Writes down what is under way and lets go of the data directory.
    pub async fn close(self) {
        self.store.close().await;
        self.audit.close().await;
    }
}

/// What `serve` puts doors on, and `verify` asks.
fn build(
    config: &Config,
    environment: &Environment,
    metrics: &Arc<Metrics>,
) -> Result<(Mirror, Kept), StartError> {
    let policy = PolicyKeeper::load(&PolicySource::of(config), &config.table, environment)?;
    let offline = config.upstreams.iter().any(|upstream| upstream.offline);
    let options = store::Options {
        root: config.data.clone(),
        // What cannot be fetched again is not evicted.
        max_size: if offline { 0 } else { config.cache.max_size },
        scrub_every: config.cache.scrub_every,
        fills_per_origin: config.cache.fills_per_upstream,
    };
    let store = Store::open(options, environment, metrics.clone())?;
    let audit = Audit::open(&config.data.join(audit::FOLDER), environment, metrics.clone())?;
    let origins = config
        .upstreams
        .iter()
        .map(|settings| {
            let origin = match settings.offline {
                true => Origin::Offline(store.clone()),
                false => {
                    Origin::Registry(Upstream::new(settings.clone(), environment, metrics.clone())?)
                }
            };
            Ok((settings.name.clone(), origin))
        })
        .collect::<Result<Vec<_>, StartError>>()?;
    let mirror = Mirror::new(Parts {
        audit: audit.clone(),
        environment: environment.clone(),
        freshness: Freshness { tag: config.cache.tag_fresh, denied: config.cache.denied_fresh },
        metrics: metrics.clone(),
        prefetch: config.cache.prefetch,
        policy: Arc::new(policy),
        store: store.clone(),
        table: config.table.clone(),
        origins,
    });
    Ok((mirror, Kept { audit, store }))
}

/// Why a mirror could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audit log cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The policy, or a key it names, is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyProblems),
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An upstream's settings cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
}
