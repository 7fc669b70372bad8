//! The one signal to stop: SIGTERM or SIGINT raise it, every task sees it. SIGHUP, which other servers are sent to read
//! their files again and a terminal sends when it is closed, ends nothing.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Raises the signal.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Sees the signal; clones see the same one.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A signal that is not raised yet.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Raises it.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it is raised; a trigger that is gone counts as raised.
    pub async fn raised(&self) {
        let mut receiver = self.0.clone();
        // An error means that the trigger is gone: then it is time to stop too.
        let _ = receiver.wait_for(|raised| *raised).await;
    }
}

/// The signals by which the system asks to stop. From its making on they no longer end the
/// process by themselves.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over; needs a runtime.
    pub fn take() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns the name of the first one that comes.
    pub async fn asked(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => tracing::info!(
                    "SIGHUP changes nothing: settings are read at a start, certificates and passwords whenever they are used"
                ),
            }
        }
    }
}
