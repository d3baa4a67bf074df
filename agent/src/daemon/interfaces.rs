//! The doors of the agent: hacheck's port, the admin port and the admin socket.

use std::{collections::HashSet, io, net::IpAddr, path::Path, sync::Arc};

use anyhow::Context;
use hacheck::{
    checks::Checker,
    names::LocalAddressesTask,
    routes::Hacheck,
    server::{Inherited, Limits, Listener, listen, serve},
    settings::{CheckSettings, RemoteMarks, Settings},
};
use tokio::{
    net::UnixListener,
    sync::{oneshot, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    api::{Api, View},
    config::Config,
    supervisor::Supervisor,
};

/// Settings of the hacheck library.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        checks: CheckSettings {
            cache_time: config.hacheck.cache,
            timeout: config.hacheck.timeout,
            keep_alive: config.hacheck.keep_alive,
            mysql: config.hacheck.mysql.clone(),
            redis: config.hacheck.redis.clone(),
            rabbitmq: config.hacheck.rabbitmq.clone(),
            command_user: config.hacheck.command_user,
            ..CheckSettings::default()
        },
        remote_marks: RemoteMarks {
            allow: config.hacheck.remote_marks.clone(),
            token: config.hacheck.token.clone(),
            ..RemoteMarks::default()
        },
        target_networks: config.hacheck.targets.clone(),
        http_headers_to_copy: config.hacheck.headers_to_copy.clone(),
        service_name_header: config.hacheck.service_name_header.clone(),
    }
}

/// Binds all listeners and serves on them until the supervisor stops. hacheck's port is taken over if
/// it was handed over at the start: then a restart of the agent refuses nobody.
///
/// # Errors
/// When an address is taken.
pub(super) async fn open(
    config: &Config,
    checker: &Checker,
    container_addresses: watch::Receiver<Arc<HashSet<IpAddr>>>,
    mut inherited: Inherited,
    view: &View,
    tasks: &mut Supervisor,
) -> anyhow::Result<()> {
    let (addresses_task, addresses) =
        LocalAddressesTask::start_with(vec![config.host.address]).await;
    tasks.spawn("local addresses", |stop| addresses_task.run(stop));
    let hacheck = Hacheck::new(
        settings(config),
        view.marks.clone(),
        checker.clone(),
        addresses,
        container_addresses,
    );
    let metrics = hacheck.clone();
    let listener = inherited.listen(config.hacheck.listen)?;
    for address in inherited.addresses() {
        warn!(%address, "a socket was handed over that is not hacheck.listen; it is closed");
    }
    open_hacheck(listener, hacheck, tasks)?;
    let api = Api { view: view.clone(), hacheck: metrics };
    open_admin(listen(config.admin.listen)?.into(), api.clone(), tasks);
    let socket = &config.admin.socket;
    let listener =
        bind_unix(socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    open_admin(listener.into(), api, tasks);
    Ok(())
}

/// hacheck has a thread and a runtime of its own: two threads that share its connections are slower
/// than one (crates.md §5), and nothing else of the agent can delay it.
fn open_hacheck(
    listener: std::net::TcpListener,
    hacheck: Hacheck,
    tasks: &mut Supervisor,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let (ended, has_ended) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let token = stop.clone();
    std::thread::Builder::new().name("hacheck".to_owned()).spawn(move || {
        // Dropped when the thread ends, however it ends.
        let _ended = ended;
        let handle = move |peer, request| hacheck.handle(peer, request);
        runtime.block_on(serve(listener, Limits::default(), handle, token));
    })?;
    tasks.spawn("hacheck", |asked| async move {
        let mut has_ended = has_ended;
        tokio::select! {
            () = asked.cancelled() => {
                stop.cancel();
                let _ = has_ended.await;
            }
            _ = &mut has_ended => {}
        }
    });
    Ok(())
}

fn open_admin(listener: Listener, api: Api, tasks: &mut Supervisor) {
    let handle = move |_, request| {
        let api = api.clone();
        async move { api.handle(request).await }
    };
    tasks.spawn("admin", |stop| serve(listener, Limits::default(), handle, stop));
}

/// A socket file that nobody listens on is left over from an earlier life and is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent listens there"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Whoever may open it may drain; members of its group may be given that by the operator.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
