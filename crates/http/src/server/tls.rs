//! TLS: [`Certificates`], and the handshake of a connection.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The certificate of a server and its key, from two files in PEM. They can be read again while the server runs: connections that are
/// open keep the old one. Clones are the same.
#[derive(Clone)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads a certificate, with those that lead to a root behind it, and its key.
    ///
    /// # Errors
    /// When a file cannot be read, holds no certificate or no key, or the two do not belong together.
    pub fn read(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> io::Result<Self> {
        let (certificate, key) = (certificate.as_ref().to_path_buf(), key.as_ref().to_path_buf());
        let current = Arc::new(RwLock::new(Arc::new(config(&certificate, &key)?)));
        Ok(Self { certificate, key, current })
    }

    /// Reads the files again, for new connections.
    ///
    /// # Errors
    /// As for [`Certificates::read`]; then the old certificate stays.
    pub fn reload(&self) -> io::Result<()> {
        let new = Arc::new(config(&self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Whether the client chose HTTP/2.
pub(super) fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

fn config(certificate: &Path, key: &Path) -> io::Result<ServerConfig> {
    let failed = |path: &Path, why: String| io::Error::other(format!("{}: {why}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|why| failed(certificate, why.to_string()))?;
    if chain.is_empty() {
        return Err(failed(certificate, "there is no certificate in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|why| failed(key, why.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let made = made.and_then(|made| made.with_no_client_auth().with_single_cert(chain, private));
    let mut made = made.map_err(|why| failed(certificate, why.to_string()))?;
    made.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(made)
}
