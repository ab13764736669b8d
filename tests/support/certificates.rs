//! Certificates for mutual TLS, as Kubernetes keeps them in a Secret: tls.crt, tls.key and ca.crt.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

pub type Authority = CertifiedIssuer<'static, KeyPair>;

pub fn authority() -> Authority {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate for a host of an authority, its key and the authority to a folder.
pub fn write(folder: &Path, authority: &Authority, host: &str) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec![host.to_owned()]).unwrap();
    // Not that of the authority, or it would pass for one that signed itself.
    parameters.distinguished_name.push(DnType::CommonName, host);
    let certificate = parameters.signed_by(&key, authority).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
}
