//! A stand-in for Microsoft Entra over TLS, and one for a proxy: both say what a test tells them, and
//! repeat what they were sent, as careless servers do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::home::Home;

/// Gives out a token, or refuses and repeats the request.
pub(crate) struct Entra {
    pub(crate) address: SocketAddr,
    /// The authority that signed its certificate.
    pub(crate) ca_file: PathBuf,
    token: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Entra {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Entra {
    pub(crate) async fn start(home: &Home) -> Self {
        let [ca_key, key] = [(), ()].map(|()| KeyPair::generate().expect("a key"));
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_file = home.path("entra-ca.pem");
        std::fs::write(&ca_file, ca.self_signed(&ca_key).expect("an authority").pem()).expect("written");
        let parameters = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        let certificate = parameters.signed_by(&key, &Issuer::new(ca, &ca_key)).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            )
            .expect("a server");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let token = Arc::<Mutex<Option<String>>>::default();
        let given = token.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, given) = (acceptor.clone(), given.clone());
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.ok()?;
                    answer(stream, |request| match &*given.lock().expect("no panic") {
                        Some(token) => (
                            200,
                            serde_json::json!({
                                "token_type": "Bearer", "expires_in": 3599, "access_token": token,
                            }),
                        ),
                        None => {
                            let text = format!("AADSTS7000215: you said {request}");
                            (401, serde_json::json!({ "error": "invalid_client", "error_description": text }))
                        }
                    })
                    .await
                });
            }
        });
        Self { address, ca_file, token, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn gives(&self, token: Option<&str>) {
        *self.token.lock().expect("no panic") = token.map(str::to_owned);
    }
}

/// A proxy that refuses everybody and repeats what he said.
pub(crate) async fn proxy() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer::<TcpStream>(stream, |request| {
                (407, serde_json::json!({ "message": request }))
            }));
        }
    });
    address
}

/// Reads one request after the other, and answers.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    reply: impl Fn(&str) -> (u16, serde_json::Value),
) -> Option<()> {
    loop {
        let mut request = Vec::new();
        loop {
            if stream.read_buf(&mut request).await.ok()? == 0 {
                return None;
            }
            let text = String::from_utf8_lossy(&request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.to_ascii_lowercase().split("content-length: ").nth(1).map_or(0, |rest| {
                rest.split("\r\n").next().and_then(|number| number.parse::<usize>().ok()).unwrap_or(0)
            });
            if body.len() >= length {
                break;
            }
        }
        let request = String::from_utf8_lossy(&request);
        // The body first, because only the beginning is told; a form as it was meant.
        let (head, body) = request.split_once("\r\n\r\n")?;
        let body = percent_encoding::percent_decode_str(body).decode_utf8_lossy();
        let is_secret =
            |field: &&str| field.starts_with("client_secret") || field.starts_with("client_assertion=");
        let secrets = body.split('&').filter(is_secret).collect::<Vec<_>>().join(" ");
        let (status, body) = reply(&format!("{secrets} {body} {head}").replace(['\r', '\n'], " "));
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    }
}
