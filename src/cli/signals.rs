//! The signals that end what runs in a cluster.

/// Ends with the first SIGTERM or ctrl-c.
#[cfg(unix)]
pub fn stop() -> Result<impl Future<Output = ()> + Send + Sync + 'static, std::io::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ends with ctrl-c. Nobody runs the controller here, but the plugin is built of the same library.
#[cfg(not(unix))]
pub fn stop() -> Result<impl Future<Output = ()> + Send + Sync + 'static, std::io::Error> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
