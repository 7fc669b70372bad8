//! Room for recursion: the caller's stack may be small, so deep work gets one of its own.

const STACK: usize = 64 << 20;

/// Runs `work` here, or on a thread with a large stack if it is `deep`. An error says why there is
/// no such thread.
pub(crate) fn with_room<T: Send>(deep: bool, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    if !deep {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let handle = thread.spawn_scoped(scope, work).map_err(|error| error.to_string())?;
        handle.join().map_err(|_| "it failed".to_owned())
    })
}
