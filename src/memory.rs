//! Memory that the allocator holds and nobody uses goes back to the system.
//!
//! The allocator gives free memory back a second after it became free, but looks for it only where a thread
//! needs pages of it or ends; and what a thread has freed of its own it keeps for itself. A node that was busy
//! and is not any more would keep for ever what it needed at its busiest: 16 MB more after 3 million pushes. So
//! what is done once in a while is done by a thread that begins and ends with it.

/// Does something in a thread of its own, and waits for it.
pub(crate) fn in_passing(name: &str, work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, || {
            // Only a thread that has allocated something has anything to hand over at its end.
            drop(std::hint::black_box(Vec::<u8>::with_capacity(1)));
            work();
        });
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => {
                tracing::warn!(%error, "no thread could be made for {name}; it is tried again")
            }
        }
    });
}
