//! Mutual TLS towards Envoys, from files.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tidegate::gateway::Files;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    bed::Bed,
    certificates::{Authority, authority, write},
    waiting::eventually,
};

/// What the certificates are for.
const HOST: &str = "localhost";
/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn files(folder: &Path) -> Files {
    Files {
        certificate: folder.join("tls.crt"),
        key: folder.join("tls.key"),
        authority: folder.join("ca.crt"),
    }
}

fn read(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}

/// Connects with the certificate of a folder, or none: the certificate that the control plane shows, if it speaks at all.
async fn connect(bed: &Bed, trusts: &Path, shows: Option<&Path>) -> Option<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(read(&trusts.join("ca.crt"))).unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match shows {
        Some(folder) => {
            let key = PrivateKeyDer::from_pem_file(folder.join("tls.key")).unwrap();
            builder.with_client_auth_cert(vec![read(&folder.join("tls.crt"))], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(bed.settings.listen).await.ok()?;
    let name = ServerName::try_from(HOST).unwrap();
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()?;
    tls.write_all(PREFACE).await.ok()?;
    let mut answer = [0; 9];
    tls.read_exact(&mut answer).await.ok()?;
    Some(tls.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
}

async fn serving() -> (Bed, Authority, TempDir) {
    let (authority, folder) = (authority(), tempfile::tempdir().unwrap());
    write(folder.path(), &authority, HOST);
    let mut bed = Bed::without_control_plane().await;
    bed.settings.identity = Some(files(folder.path()));
    bed.run();
    (bed, authority, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_has_a_certificate_of_the_authority_is_let_in() {
    let (bed, _, folder) = serving().await;
    let own = folder.path();
    eventually("it is let in", || connect(&bed, own, Some(own)), Option::is_some).await;
    assert!(connect(&bed, own, None).await.is_none(), "without a certificate");
    let other = tempfile::tempdir().unwrap();
    write(other.path(), &authority(), HOST);
    assert!(connect(&bed, own, Some(other.path())).await.is_none(), "with one of another authority");
    // Not in the clear either.
    let mut tcp = TcpStream::connect(bed.settings.listen).await.unwrap();
    tcp.write_all(PREFACE).await.unwrap();
    let mut answer = Vec::new();
    let read = tcp.read_to_end(&mut answer).await;
    assert!(read.is_err() || !answer.starts_with(b"\0\0"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_vanishes_stays_and_one_that_is_renewed_is_shown() {
    let (bed, authority, folder) = serving().await;
    let own = folder.path();
    let first = eventually("it is let in", || connect(&bed, own, Some(own)), Option::is_some).await.unwrap();
    // Who connects brings its own, and trusts the same authority.
    let client = tempfile::tempdir().unwrap();
    write(client.path(), &authority, HOST);
    std::fs::remove_file(own.join("tls.crt")).unwrap();
    assert_eq!(connect(&bed, client.path(), Some(client.path())).await, Some(first.clone()));
    write(own, &authority, HOST);
    let renewed = || connect(&bed, client.path(), Some(client.path()));
    let shown = eventually("the new one is shown", renewed, |shown| *shown != Some(first.clone())).await;
    assert_eq!(shown, Some(read(&own.join("tls.crt"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_its_files_names_the_one_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &authority(), HOST);
    std::fs::remove_file(folder.path().join("ca.crt")).unwrap();
    let mut bed = Bed::without_control_plane().await;
    bed.settings.identity = Some(files(folder.path()));
    let client = bed.client.clone();
    let ended = tidegate::gateway::run(bed.settings.clone(), client, std::future::pending()).await;
    let told = ended.unwrap_err().to_string();
    assert!(told.contains("cannot read the authority from") && told.contains("ca.crt"), "{told}");
}
