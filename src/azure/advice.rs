//! What to do about the refusals of Entra and of the metadata service, by the codes that they give.
//!
//! Their own texts say what they saw, not what a person has to change. Codes:
//! <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

use super::TokenError;

/// A part of the text, and what to do.
const ADVICE: [(&str, &str); 12] = [
    (
        "AADSTS700016",
        "the tenant has no application with this client_id: check client_id, tenant_id and [azure] cloud",
    ),
    (
        "AADSTS90002",
        "there is no tenant with this tenant_id in this cloud: check tenant_id and [azure] cloud",
    ),
    ("AADSTS900382", "the application is of another cloud: check [azure] cloud, and tenant_id"),
    ("AADSTS7000215", "the client secret is wrong: the file has to hold the secret's value, not its id"),
    ("AADSTS7000222", "the client secret has expired: make a new one and write it to the file"),
    ("AADSTS7000112", "the application is switched off in the tenant: enable its enterprise application"),
    (
        "AADSTS700027",
        "the certificate is not one of the application's: add it there under Certificates & secrets, and check that \
         key_file belongs to it",
    ),
    ("AADSTS700024", "the assertion is not valid at this time: check this machine's clock"),
    (
        "AADSTS700213",
        "the application has no federated credential for this subject: compare issuer, subject and audience with the \
         token's",
    ),
    (
        "AADSTS70021",
        "the application has no federated credential for this token: compare issuer, subject and audience with the \
         token's",
    ),
    (
        "AADSTS500011",
        "the tenant does not know Azure Resource Manager under this audience: check [azure] cloud and audience",
    ),
    (
        "Identity not found",
        "this machine has no such managed identity: assign one (virtual machine, Identity), or name the right one",
    ),
];

impl TokenError {
    /// What to do, where the identity provider's own words tell it.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        let text = match self {
            Self::Provider(text) => text,
            Self::Timeout { last: Some(last), .. } => last,
            _ => return None,
        };
        let (_, advice) = ADVICE.iter().find(|(code, _)| is_in(code, text))?;
        Some(advice)
    }
}

/// Whether the code stands in the text, and is not the beginning of a longer one.
fn is_in(code: &str, text: &str) -> bool {
    text.match_indices(code).any(|(at, _)| {
        text.get(at + code.len()..).and_then(|rest| rest.chars().next()).is_none_or(|c| !c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_not_taken_for_a_longer_one() {
        let advice = |text: &str| TokenError::Provider(text.to_owned()).advice();
        let federated = advice("AADSTS70021: No matching federated identity record found").expect("advice");
        assert!(federated.contains("for this token"));
        assert!(advice("AADSTS700213: …").expect("advice").contains("for this subject"));
        assert!(advice("AADSTS7000222: expired").expect("advice").contains("expired"));
        assert!(advice("status 400: Identity not found").expect("advice").contains("managed identity"));
        assert_eq!(advice("AADSTS50034: something else"), None);
        assert_eq!(TokenError::Expired.advice(), None);
        let waited =
            TokenError::Timeout { after: std::time::Duration::ZERO, last: Some("Identity not found".into()) };
        assert!(waited.advice().is_some());
    }
}
