use super::super::fake::{Canned, Fake, http};
use super::*;

const PATH: &str = "/metadata/identity/oauth2/token";

struct Place {
    fake: Fake,
    directory: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let place = Self { fake: Fake::start().await, directory: tempfile::tempdir().expect("a directory") };
        std::fs::create_dir(place.tokens()).expect("a directory");
        place
    }

    fn tokens(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(path);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// Challenges with `realm`, then gives a token.
    async fn fetch(&self, realm: &str) -> Result<NewToken, TokenError> {
        let ends = Timestamp::now().as_second() + 1000;
        let token = serde_json::json!({ "access_token": "arc-token", "expires_on": ends.to_string() });
        let challenge = Canned::raw(401, "").header("www-authenticate", &format!("Basic realm={realm}"));
        self.fake.answers(PATH, [challenge, Canned::json(token)]);
        let endpoint = format!("{}{PATH}", self.fake.url());
        ArcIdentity::new(http(Duration::from_secs(20)), &endpoint, &self.tokens(), "https://arm.test")
            .expect("an identity")
            .fetch()
            .await
    }
}

#[tokio::test]
async fn the_key_file_opens_the_agent() {
    let place = Place::new().await;
    let key = place.write("tokens/a.key", "the key\n");
    let token = place.fetch(key.to_str().expect("text")).await.expect("a token");
    assert_eq!(token.secret.expose_secret(), "arc-token");
    assert!((990..=1000).contains(&token.lifetime.as_secs()));
    let seen = place.fake.seen();
    assert_eq!(seen[0].query, "api-version=2021-02-01&resource=https%3A%2F%2Farm.test");
    assert_eq!((seen[0].header("metadata"), seen[0].header("authorization")), ("true", ""));
    assert_eq!(seen[1].header("authorization"), "Basic the key");
}

#[tokio::test]
async fn no_other_file_leaves_the_machine() {
    let place = Place::new().await;
    place.write("outside.key", "a secret");
    place.write("tokens/not-a-key", "a secret");
    place.write("tokens/large.key", vec![b'x'; 4097]);
    place.write("tokens/empty.key", "");
    place.write("tokens/lines.key", "a\r\nb: c");
    std::fs::create_dir(place.tokens().join("below")).expect("a directory");
    place.write("tokens/below/deep.key", "a secret");
    std::os::unix::fs::symlink("../outside.key", place.tokens().join("link.key")).expect("a link");
    let tokens = place.tokens();
    let tokens = tokens.to_str().expect("text");
    for realm in [
        format!("{tokens}/../outside.key"),
        format!("{tokens}/link.key"),
        format!("{tokens}/not-a-key"),
        format!("{tokens}/large.key"),
        format!("{tokens}/empty.key"),
        format!("{tokens}/lines.key"),
        format!("{tokens}/below/deep.key"),
        format!("{tokens}/missing.key"),
        format!("{tokens}/below"),
        tokens.to_owned(),
        "/etc/passwd".to_owned(),
        "a.key".to_owned(),
        String::new(),
    ] {
        let before = place.fake.seen().len();
        assert!(place.fetch(&realm).await.is_err(), "{realm}");
        assert_eq!(place.fake.seen().len() - before, 1, "only the challenge was asked for: {realm}");
    }
}

#[tokio::test]
async fn an_agent_that_does_not_challenge_or_refuses_is_an_error() {
    let place = Place::new().await;
    let key = place.write("tokens/a.key", "key");
    let endpoint = format!("{}{PATH}", place.fake.url());
    let arc = ArcIdentity::new(http(Duration::from_secs(20)), &endpoint, &place.tokens(), "x")
        .expect("an identity");
    let challenge =
        || Canned::raw(401, "").header("www-authenticate", &format!("Basic realm={}", key.display()));
    for answers in [
        vec![Canned::raw(200, "{}")],
        vec![Canned::raw(401, "")],
        vec![Canned::raw(401, "").header("www-authenticate", "Digest realm=x")],
        vec![challenge()],
        vec![challenge(), Canned::error(403, "denied", "no")],
        vec![challenge(), Canned::raw(200, "<html>")],
        vec![challenge(), Canned::raw(200, "{\"access_token\":\"secret\",\"expires_on\":[]}")],
    ] {
        place.fake.answers(PATH, answers);
        let Err(error) = arc.fetch().await else { panic!("a token") };
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn the_agent_is_this_machine() {
    for endpoint in ["http://169.254.169.254/x", "https://localhost/x", "http://localhost.evil/x", "x"] {
        let identity = ArcIdentity::new(http(Duration::from_secs(1)), endpoint, Path::new("/x"), "x");
        assert!(identity.is_err(), "{endpoint}");
    }
}
