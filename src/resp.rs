//! local stand-in, not committed
use std::sync::Arc;
pub fn serve(
    l: tokio::net::TcpListener,
    _h: &Arc<crate::http::Handles>,
    _k: Arc<dyn ringwell_storage::keyspace::Extract>,
    s: crate::shutdown::Shutdown,
) -> impl Future<Output = ()> + Send + 'static {
    async move {
        s.raised().await;
        drop(l)
    }
}
