use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::advance;

use super::*;

/// Answers from a script; `None` never answers. Counts the fetches.
#[derive(Clone, Default)]
struct Script(Arc<(Mutex<VecDeque<Answer>>, AtomicUsize)>);

/// The lifetime in seconds, or a failure.
type Answer = Option<Result<u64, TokenError>>;

impl Script {
    fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        script.0.0.lock().expect("lock").extend(answers);
        script
    }

    fn fetches(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }

    fn tokens(&self) -> Tokens {
        Tokens::new(Box::new(self.clone()), |_| {})
    }
}

#[async_trait]
impl TokenSource for Script {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        let number = self.0.1.fetch_add(1, Ordering::SeqCst) + 1;
        // Others get their turn while this fetch is under way.
        tokio::task::yield_now().await;
        let answer = self.0.0.lock().expect("lock").pop_front().expect("an answer in the script");
        match answer {
            None => std::future::pending().await,
            Some(Err(error)) => Err(error),
            Some(Ok(seconds)) => Ok(NewToken {
                secret: SecretString::from(format!("secret-{number}")),
                lifetime: Duration::from_secs(seconds),
            }),
        }
    }
}

fn refused() -> Answer {
    Some(Err(TokenError::Provider("AADSTS7000215".to_owned())))
}

fn hour() -> Answer {
    Some(Ok(3600))
}

async fn secret(tokens: &Tokens) -> String {
    tokens.get().await.expect("a token").expose().to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_fetch_for_many_callers() {
    let script = Script::of([hour()]);
    let tokens = script.tokens();
    let (a, b, c) = tokio::join!(secret(&tokens), secret(&tokens), secret(&tokens));
    assert_eq!([a.as_str(), &b, &c], ["secret-1"; 3]);
    assert_eq!(script.fetches(), 1);
    assert!(tokens.expiry().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_token_is_kept_until_it_ends_when_renewal_fails() {
    let script = Script::of([hour(), refused(), refused(), refused()]);
    let tokens = script.tokens();
    assert_eq!(secret(&tokens).await, "secret-1");
    advance(Duration::from_secs(3600 - 299)).await;
    for _ in 0..10 {
        assert_eq!(secret(&tokens).await, "secret-1");
    }
    assert_eq!(script.fetches(), 2, "the failed renewal is not repeated on every call");
    advance(FIRST_BACKOFF).await;
    assert_eq!(secret(&tokens).await, "secret-1");
    assert_eq!(script.fetches(), 3);
    advance(Duration::from_secs(300)).await;
    assert!(matches!(tokens.get().await, Err(TokenError::Provider(_))), "after its end it is not used");
}

#[tokio::test(start_paused = true)]
async fn while_one_renews_the_others_go_on() {
    let script = Script::of([hour(), None]);
    let tokens = script.tokens();
    secret(&tokens).await;
    advance(Duration::from_secs(3400)).await;
    let start = Instant::now();
    let renewing = async {
        assert_eq!(secret(&tokens).await, "secret-1");
        start.elapsed()
    };
    let others = async {
        assert_eq!(secret(&tokens).await, "secret-1");
        start.elapsed()
    };
    let (renewing, others) = tokio::join!(renewing, others);
    assert_eq!((renewing, others), (FETCH_TIMEOUT, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_is_given_up_and_left_alone_for_a_while() {
    let script = Script::of([None, hour()]);
    let tokens = script.tokens();
    let start = Instant::now();
    assert_eq!(
        tokens.get().await.expect_err("silent"),
        TokenError::Timeout { after: FETCH_TIMEOUT, last: None }
    );
    assert_eq!(start.elapsed(), FETCH_TIMEOUT);
    tokens.get().await.expect_err("the same failure, at once");
    assert_eq!(script.fetches(), 1);
    advance(FIRST_BACKOFF).await;
    assert_eq!(secret(&tokens).await, "secret-2");
}

async fn replaced(tokens: &Tokens, token: &Token) -> Option<String> {
    tokens.replacement(token).await.map(|token| token.expose().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_in_a_while() {
    let script = Script::of([hour(), hour(), hour()]);
    let tokens = script.tokens();
    let first = tokens.get().await.expect("a token");
    let (a, b) = tokio::join!(replaced(&tokens, &first), replaced(&tokens, &first));
    assert_eq!([a.as_deref(), b.as_deref()], [Some("secret-2"); 2], "one replacement for both");
    let second = tokens.get().await.expect("a token");
    assert_eq!(second.expose(), "secret-2");
    assert_eq!(replaced(&tokens, &first).await.as_deref(), Some("secret-2"), "it is there already");
    assert_eq!(replaced(&tokens, &second).await, None, "fresh and refused: not the token's fault");
    assert_eq!(secret(&tokens).await, "secret-2");
    assert_eq!(script.fetches(), 2);
    advance(REPLACE_INTERVAL).await;
    assert_eq!(replaced(&tokens, &second).await.as_deref(), Some("secret-3"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_stays_in_use_until_there_is_another() {
    let script = Script::of([hour(), refused(), None, hour()]);
    let tokens = script.tokens();
    let first = tokens.get().await.expect("a token");
    assert_eq!(replaced(&tokens, &first).await, None);
    assert_eq!(secret(&tokens).await, "secret-1");
    assert_eq!(replaced(&tokens, &first).await, None);
    assert_eq!(script.fetches(), 2, "a provider that fails is left alone for a while");
    advance(FIRST_BACKOFF).await;
    let start = Instant::now();
    let others = async {
        assert_eq!(secret(&tokens).await, "secret-1");
        start.elapsed()
    };
    let (none, waited) = tokio::join!(replaced(&tokens, &first), others);
    assert_eq!((none, waited, start.elapsed()), (None, Duration::ZERO, FETCH_TIMEOUT));
    advance(FIRST_BACKOFF * 2).await;
    assert_eq!(replaced(&tokens, &first).await.as_deref(), Some("secret-4"));
    assert_eq!(secret(&tokens).await, "secret-4");
}

#[tokio::test(start_paused = true)]
async fn an_expired_or_absurd_lifetime_does_no_harm() {
    let script = Script::of([Some(Ok(0)), Some(Ok(u64::MAX))]);
    let tokens = script.tokens();
    assert_eq!(tokens.get().await.expect_err("expired"), TokenError::Expired);
    advance(FIRST_BACKOFF).await;
    let token = tokens.get().await.expect("a token");
    assert!(token.ends <= Instant::now() + MAX_LIFETIME);
}

#[tokio::test(start_paused = true)]
async fn a_short_lived_token_is_not_renewed_on_every_call() {
    let script = Script::of([Some(Ok(60)), hour()]);
    let tokens = script.tokens();
    secret(&tokens).await;
    advance(Duration::from_secs(29)).await;
    assert_eq!(secret(&tokens).await, "secret-1");
    advance(Duration::from_secs(1)).await;
    assert_eq!(secret(&tokens).await, "secret-2");
}

#[tokio::test(start_paused = true)]
async fn no_text_shows_the_token() {
    let script = Script::of([hour()]);
    let tokens = script.tokens();
    let token = tokens.get().await.expect("a token");
    assert!(!format!("{token:?} {tokens:?}").contains("secret-1"));
}
