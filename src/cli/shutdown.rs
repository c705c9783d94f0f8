//! Signals: SIGTERM and SIGINT start the shutdown, SIGHUP is ignored.

use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Listens for SIGTERM and Ctrl-C from now on; completes at the first, and ends the process at the second.
///
/// # Errors
/// The operating system refuses the handlers.
pub(super) fn requested() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            tracing::warn!("second signal received, exiting immediately");
            std::process::exit(1);
        });
    })
}

/// From now on SIGHUP no longer ends the process. Nothing is reloaded; each signal is logged with what to do instead.
///
/// # Errors
/// The operating system rejects the handler.
pub(super) fn ignore_hangups() -> io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::warn!("SIGHUP is ignored: restart to apply new settings");
        }
    });
    Ok(())
}
