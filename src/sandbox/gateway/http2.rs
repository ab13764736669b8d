//! HTTP/2 towards destinations: the authority of a request is its host, which need not be the address that it is sent to.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpStream;
use tower::Service;

use crate::sandbox::serve::Body;

/// A client for each address that was spoken to.
#[derive(Default)]
pub(super) struct Clients(Mutex<BTreeMap<SocketAddr, Client<To, Body>>>);

/// Connects to an address, whatever a request names.
#[derive(Clone, Copy, Debug)]
pub(super) struct To(SocketAddr);

impl Clients {
    /// The one that sends to an address.
    pub(super) fn to(&self, address: SocketAddr) -> Client<To, Body> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(address).or_insert_with(|| {
            let mut client = Client::builder(TokioExecutor::new());
            client.retry_canceled_requests(false).http2_only(true);
            client.build(To(address))
        });
        client.clone()
    }
}

impl Service<Uri> for To {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self(address) = *self;
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}
