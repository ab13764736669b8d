//! Connections of Envoys.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::identity::Identity;
use crate::xds::{Discovery, Hub};

/// How long an Envoy may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// An Envoy that is gone without a word is noticed after this, and as long again.
const ALIVE: Duration = Duration::from_secs(10);
/// How long a failing listener waits: it has run out of file descriptors, as a rule.
const AGAIN: Duration = Duration::from_millis(100);
/// Connections that are ready to be served and are not yet.
const READY: usize = 64;

/// Serves discovery on a listener until `stop`.
pub async fn serve(
    listener: TcpListener,
    identity: Option<Identity>,
    hub: Hub,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (ready, mut connections) = mpsc::channel(READY);
    let accepting = tokio::spawn(accept(listener, identity, ready, stop.clone()));
    let incoming = stream::poll_fn(move |task| connections.poll_recv(task));
    let served = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(ALIVE))
        .http2_keepalive_timeout(Some(ALIVE))
        .add_service(Discovery::service(hub, stop.clone()))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await;
    accepting.abort();
    served
}

/// Takes connections. Whoever is slow to say who it is keeps nobody waiting.
async fn accept(
    listener: TcpListener,
    identity: Option<Identity>,
    ready: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
) {
    let identity = identity.map(|identity| Arc::new(Mutex::new(identity)));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (tcp, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        // A weight is one small packet.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "a connection is gone already");
            continue;
        }
        let info = TcpConnectInfo { local_addr: tcp.local_addr().ok(), remote_addr: Some(from) };
        let Some(identity) = &identity else {
            let connection = Connection { info, stream: Stream::Plain(tcp) };
            drop(ready.send(Ok(connection)).await);
            continue;
        };
        let config = identity.lock().unwrap_or_else(PoisonError::into_inner).config();
        tokio::spawn(shake(TlsAcceptor::from(config), tcp, info, from, ready.clone()));
    }
}

async fn shake(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    info: TcpConnectInfo,
    from: SocketAddr,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => {
            let connection = Connection { info, stream: Stream::Tls(Box::new(tls)) };
            drop(ready.send(Ok(connection)).await);
        }
        Ok(Err(error)) => tracing::warn!(%from, %error, "a connection was refused"),
        Err(_) => tracing::warn!(%from, "a connection did not say who it is"),
    }
}

/// A connection of an Envoy.
struct Connection {
    info: TcpConnectInfo,
    stream: Stream,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(task, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(task, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(task, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(task),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(task),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(task),
        }
    }
}
