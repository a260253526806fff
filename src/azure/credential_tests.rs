use std::sync::Mutex;

use aws_lc_rs::digest::{SHA256, digest};
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, PKCS_RSA_SHA256, RsaKeySize};

use super::super::fake::http;
use super::super::token::Tokens;
use super::*;

/// An identity provider that answers every request the same way.
#[derive(Debug)]
struct Provider {
    status: u16,
    body: &'static str,
    seen: Mutex<Vec<(String, String)>>,
}

impl Provider {
    fn of(status: u16, body: &'static str) -> Arc<Self> {
        Arc::new(Self { status, body, seen: Mutex::default() })
    }

    fn token() -> Arc<Self> {
        Self::of(
            200,
            r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"t0k"}"#,
        )
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().expect("lock").clone()
    }
}

#[async_trait]
impl HttpClient for Provider {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let Body::Bytes(body) = request.body() else { panic!("a stream") };
        let body = String::from_utf8(body.to_vec()).expect("text");
        self.seen.lock().expect("lock").push((request.url().to_string(), body));
        Ok(AsyncRawResponse::from_bytes(self.status.into(), Headers::new(), self.body))
    }
}

fn identity(credential: Credential, provider: &Arc<Provider>) -> Identity {
    let cloud = Cloud { authority: "https://login.test".to_owned(), ..Cloud::public() };
    let identity = Identity::new(credential, cloud, http(Duration::from_secs(1)));
    Identity { transport: Arc::new(Witness::new(provider.clone())), ..identity }
}

fn client_secret(directory: &tempfile::TempDir) -> Credential {
    Credential::ClientSecret {
        tenant_id: "tenant".to_owned(),
        client_id: "client".to_owned(),
        secret_file: directory.path().join("secret"),
    }
}

#[tokio::test]
async fn a_changed_secret_is_used_for_the_next_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let provider = Provider::token();
    let identity = identity(client_secret(&directory), &provider);
    for secret in ["first", "second"] {
        std::fs::write(directory.path().join("secret"), format!("{secret}\n")).expect("written");
        let token = identity.fetch().await.expect("a token");
        assert_eq!(token.secret.expose_secret(), "t0k");
        assert!((3590..=3599).contains(&token.lifetime.as_secs()));
    }
    let seen = provider.seen();
    assert_eq!(seen[0].0, "https://login.test/tenant/oauth2/v2.0/token");
    assert!(seen[0].1.contains("client_secret=first&") || seen[0].1.ends_with("client_secret=first"));
    assert!(seen[1].1.contains("client_secret=second"));
    assert!(seen[0].1.contains("scope=https%3A%2F%2Fmanagement.azure.com%2F.default"));
}

#[tokio::test]
async fn a_refusal_is_told_on_one_line_without_the_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("secret"), "hunter2").expect("written");
    let provider = Provider::of(
        401,
        r#"{"error":"invalid_client","error_codes":[7000222],"error_description":"AADSTS7000222: expired.\r\nTrace ID: x"}"#,
    );
    let Err(error) = identity(client_secret(&directory), &provider).fetch().await else { panic!("a token") };
    let text = error.to_string();
    assert!(text.contains("AADSTS7000222") && !text.contains("hunter2"), "{text}");
    assert!(!text.contains(char::is_control), "{text}");
}

#[tokio::test]
async fn a_missing_secret_asks_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let provider = Provider::token();
    let Err(error) = identity(client_secret(&directory), &provider).fetch().await else { panic!("a token") };
    assert!(matches!(error, TokenError::File { .. }), "{error}");
    assert!(provider.seen().is_empty());
}

#[tokio::test]
async fn a_certificate_is_shown_as_an_assertion_and_may_be_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("both.pem");
    let provider = Provider::token();
    let credential = Credential::ClientCertificate {
        tenant_id: "tenant".to_owned(),
        client_id: "client".to_owned(),
        certificate_file: file.clone(),
        key_file: file.clone(),
    };
    let identity = identity(credential, &provider);
    for number in 0..2 {
        let key = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let params = CertificateParams::new(["principal".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(&file, format!("{}{}", certificate.pem(), key.serialize_pem())).expect("written");
        identity.fetch().await.expect("a token");
        let (url, body) = provider.seen().remove(number);
        assert_eq!(url, "https://login.test/tenant/oauth2/v2.0/token");
        assert!(!body.contains("client_secret"));
        let (_, assertion) = body.split_once("client_assertion=").expect("an assertion");
        let header = BASE64_URL_SAFE_NO_PAD.decode(assertion.split('.').next().expect("a part"));
        let header = String::from_utf8(header.expect("base64url")).expect("text");
        let print = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate.der()));
        assert!(header.contains(&print), "{header}");
    }
}

#[tokio::test]
async fn workload_identity_reads_its_token_file_every_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("federated");
    let provider = Provider::token();
    let identity = identity(
        Credential::WorkloadIdentity {
            tenant_id: Some("tenant".to_owned()),
            client_id: Some("client".to_owned()),
            token_file: Some(file.clone()),
        },
        &provider,
    );
    assert!(matches!(identity.fetch().await.err(), Some(TokenError::Settings(_))));
    for federated in ["one", "two"] {
        std::fs::write(&file, federated).expect("written");
        identity.fetch().await.expect("a token");
    }
    let assertions: Vec<bool> = provider
        .seen()
        .iter()
        .zip(["client_assertion=one", "client_assertion=two"])
        .map(|((_, body), part)| body.contains(part))
        .collect();
    assert_eq!(assertions, [true, true]);
}

#[tokio::test]
async fn a_managed_identity_is_asked_of_this_machine() {
    let body = r#"{"access_token":"m1","expires_on":"4102444800","token_type":"Bearer","resource":"x"}"#;
    let resource =
        "/subscriptions/s/resourceGroups/r/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
    for (user, asked) in [
        (None, None),
        (Some(UserAssigned::ClientId("mine".to_owned())), Some(("client_id", "mine"))),
        (Some(UserAssigned::ObjectId("mine".to_owned())), Some(("object_id", "mine"))),
        (Some(UserAssigned::ResourceId(resource.to_owned())), Some(("msi_res_id", resource))),
    ] {
        let provider = Provider::of(200, body);
        let identity = identity(Credential::ManagedIdentity { identity: user }, &provider);
        let token = identity.fetch().await.expect("a token");
        assert_eq!(token.secret.expose_secret(), "m1");
        let url: reqwest::Url = provider.seen()[0].0.parse().expect("a url");
        assert!(url.as_str().starts_with("http://169.254.169.254/metadata/identity/oauth2/token?"), "{url}");
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let of = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        assert_eq!(of("resource"), Some("https://management.azure.com"));
        let ids = ["client_id", "object_id", "msi_res_id"].iter().filter_map(|n| Some((*n, of(n)?)));
        assert_eq!(ids.collect::<Vec<_>>(), asked.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_does_not_come_in_time_says_what_was_answered() {
    for (body, told) in [
        (
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
            "status 404: Identity not found;",
        ),
        ("<html>your secret was hunter2</html>", "the last try gave status 404;"),
    ] {
        let provider = Provider::of(404, body);
        let identity = identity(Credential::ManagedIdentity { identity: None }, &provider);
        let tokens = Tokens::new(Box::new(identity), |_| {});
        let error = tokens.get().await.expect_err("no token");
        assert!(matches!(error, TokenError::Timeout { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(told) && !text.contains("hunter2"), "{text}");
        assert!(provider.seen().len() > 1, "it was tried again");
    }
}
