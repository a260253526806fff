//! The questions, in their order, each with the flag that answers it.

use std::io::{BufRead, Write};

use clap::ValueEnum;

use super::answers::{Answers, Credential, Followed, Role};
use super::{InitError, line};

/// Answers to a question that may have several.
const MANY: usize = 64;

/// One question.
pub(super) struct Question {
    flag: &'static str,
    asks: &'static str,
    /// Whether it is asked, by what is known.
    applies: fn(&Answers) -> bool,
    /// Whether a flag has answered it.
    known: fn(&Answers) -> bool,
    /// What an empty answer means; nothing when there has to be one.
    default: fn(&Answers) -> Option<String>,
    /// The words that may be answered, with what they mean.
    choices: fn() -> Vec<(String, String)>,
    /// Takes the answer; false when it is none of the choices.
    set: fn(&mut Answers, &str) -> bool,
    /// Whether there may be several, one a line, ended by an empty one.
    many: bool,
}

/// A question without choices, default and condition.
const PLAIN: Question = Question {
    flag: "",
    asks: "",
    applies: |_| true,
    known: |_| false,
    default: |_| None,
    choices: Vec::new,
    set: |_, _| true,
    many: false,
};

/// All of them.
pub(super) const ALL: &[Question] = &[
    Question {
        flag: "--application",
        asks: "Resource id of an IoT Central application (Azure portal: Properties, Resource ID), or the id of a \
               subscription, SUBSCRIPTION or SUBSCRIPTION/GROUP, to follow all applications in it",
        known: |answers| !answers.followed.is_empty(),
        set: |answers, text| {
            answers.followed.push(Followed::parse(text));
            true
        },
        many: true,
        ..PLAIN
    },
    Question {
        flag: "--tag",
        asks: "Only applications with this tag, NAME or NAME=VALUE; empty: all",
        applies: Answers::searches,
        known: |answers| answers.tag.is_some(),
        default: |_| Some(String::new()),
        set: |answers, text| {
            answers.tag = optional(text);
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--cloud",
        asks: "The cloud: public, us-government or china",
        known: |answers| answers.cloud.is_some(),
        default: |_| Some("public".to_owned()),
        set: |answers, text| {
            answers.cloud = Some(text.to_owned());
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--credential",
        asks: "Who asks Azure",
        known: |answers| answers.credential.is_some(),
        default: |_| Some("managed-identity".to_owned()),
        choices: choices::<Credential>,
        set: |answers, text| {
            answers.credential = Credential::from_str(text, false).ok();
            answers.credential.is_some()
        },
        ..PLAIN
    },
    Question {
        flag: "--tenant-id",
        asks: "Tenant id of the service principal",
        applies: has_principal,
        known: |answers| answers.tenant_id.is_some(),
        set: |answers, text| {
            answers.tenant_id = optional(text);
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--client-id",
        asks: "Client id of the service principal",
        applies: has_principal,
        known: |answers| answers.client_id.is_some(),
        set: |answers, text| {
            answers.client_id = optional(text);
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--client-id",
        asks: "Client id of a user-assigned identity; empty: the machine's own",
        applies: |answers| answers.credential() == Credential::ManagedIdentity,
        known: |answers| answers.client_id.is_some(),
        default: |_| Some(String::new()),
        set: |answers, text| {
            answers.client_id = optional(text);
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--secret-file",
        asks: "File with the secret, or with certificate and key (PEM); closed to other users",
        applies: has_principal,
        known: |answers| answers.secret_file.is_some(),
        set: |answers, text| {
            answers.secret_file = optional(text);
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--role",
        asks: "What the daemon is for",
        known: |answers| answers.role.is_some(),
        default: |_| Some("beside-dns-server".to_owned()),
        choices: choices::<Role>,
        set: |answers, text| {
            answers.role = Role::from_str(text, false).ok();
            answers.role.is_some()
        },
        ..PLAIN
    },
    Question {
        flag: "--listen",
        asks: "Where it answers DNS, ADDRESS or ADDRESS:PORT, several with commas",
        known: |answers| !answers.listen.is_empty(),
        default: |answers| Some(answers.role().listen().to_owned()),
        set: |answers, text| {
            answers.listen = separated(text);
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--upstream",
        asks: "Servers that know public DNS, several with commas (168.63.129.16 exists in Azure only)",
        applies: |answers| answers.role().resolves(),
        known: |answers| !answers.upstreams.is_empty(),
        default: |_| Some("168.63.129.16".to_owned()),
        set: |answers, text| {
            answers.upstreams = separated(text);
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--server",
        asks: "Name servers that take the zones or the updates, ADDRESS or ADDRESS:PORT, several with commas",
        applies: |answers| answers.role().has_servers(),
        known: |answers| !answers.servers.is_empty(),
        set: |answers, text| {
            answers.servers = separated(text);
            true
        },
        ..PLAIN
    },
    Question {
        flag: "--key-file",
        asks: "File with the TSIG key (privatelink-dns tsig generate privatelink-dns-key makes it); empty: none",
        applies: |answers| answers.role().has_servers(),
        known: |answers| answers.key_file.is_some(),
        default: |_| Some(String::new()),
        set: |answers, text| {
            answers.key_file = optional(text);
            true
        },
        ..PLAIN
    },
];

impl Question {
    /// Has the question answered: by a flag, by somebody, or by its default.
    pub(super) fn answer(
        &self,
        answers: &mut Answers,
        asker: &mut Option<(&mut impl BufRead, &mut impl Write)>,
    ) -> Result<(), InitError> {
        if !(self.applies)(answers) || (self.known)(answers) {
            return Ok(());
        }
        let Some((input, prompts)) = asker else {
            let missing = InitError::Missing { flag: self.flag, asks: self.asks };
            let default = (self.default)(answers).ok_or(missing)?;
            (self.set)(answers, &default);
            return Ok(());
        };
        self.ask(answers, prompts);
        let mut given = 0;
        while given < MANY {
            let text = line(input).ok().flatten().ok_or(InitError::Ended)?;
            let text = match ((self.default)(answers), text.is_empty()) {
                (Some(default), true) => default,
                (None, true) if given > 0 => break,
                (None, true) => {
                    let _ = write!(prompts, "This one is needed.\n> ");
                    continue;
                }
                _ => text,
            };
            let mut tried = answers.clone();
            let problem = if (self.set)(&mut tried, &text) {
                tried.fault()
            } else {
                Some("write one of the words above".to_owned())
            };
            if let Some(problem) = problem {
                let _ = write!(prompts, "{problem}\nAgain:\n> ");
                continue;
            }
            *answers = tried;
            given += 1;
            if !self.many {
                break;
            }
            let _ = write!(prompts, "Another one; empty: no more\n> ");
        }
        Ok(())
    }

    /// Prints the question. A terminal that is gone shows when it is read.
    fn ask(&self, answers: &Answers, prompts: &mut impl Write) {
        let _ = writeln!(prompts, "\n{}", self.asks);
        for (word, about) in (self.choices)() {
            let _ = writeln!(prompts, "  {word:<20}{about}");
        }
        let default = (self.default)(answers).filter(|default| !default.is_empty());
        let _ = write!(prompts, "{}> ", default.map(|default| format!("[{default}] ")).unwrap_or_default());
        let _ = prompts.flush();
    }
}

fn has_principal(answers: &Answers) -> bool {
    matches!(answers.credential(), Credential::ClientSecret | Credential::ClientCertificate)
}

fn optional(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn separated(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn choices<T: ValueEnum>() -> Vec<(String, String)> {
    let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    values
        .map(|value| {
            (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIPTION: &str = "11111111-0000-0000-0000-000000000000";

    /// Asks everything; the answers, and what was shown.
    fn asked(input: &str) -> (Result<Answers, InitError>, String) {
        let (mut input, mut prompts) = (input.as_bytes(), Vec::new());
        let mut answers = Answers::default();
        let mut asker = Some((&mut input, &mut prompts));
        let result = ALL.iter().try_for_each(|question| question.answer(&mut answers, &mut asker));
        (result.map(|()| answers), String::from_utf8(prompts).expect("text"))
    }

    #[test]
    fn empty_answers_take_the_defaults() {
        let (answers, shown) = asked(&format!("{SUBSCRIPTION}\n\n\n\n\n\n\n\n\n"));
        let answers = answers.expect("answers");
        assert_eq!(
            (answers.role(), answers.credential()),
            (Role::BesideDnsServer, Credential::ManagedIdentity)
        );
        assert_eq!(answers.listen, ["127.0.0.1:5300"]);
        assert!(shown.contains("  client-secret       A service principal with a secret\n"), "{shown}");
        assert!(shown.contains("[managed-identity] > "), "{shown}");
    }

    #[test]
    fn wrong_answers_are_asked_again() {
        let (answers, shown) = asked(&format!(
            "\nnonsense\n{SUBSCRIPTION}/rg\n\n\npublic\nsecret\nclient-secret\ntenant id\ncontoso.example\n\
             {SUBSCRIPTION}\n/etc/secret\nresolver\n10.0.0.5\n1.1.1.1, 9.9.9.9\n"
        ));
        let answers = answers.unwrap_or_else(|error| panic!("{error}: {shown}"));
        for said in ["This one is needed.", "write one of the words above", "nonsense"] {
            assert!(shown.contains(said), "{said}: {shown}");
        }
        assert_eq!(answers.tenant_id.as_deref(), Some("contoso.example"));
        assert_eq!(answers.upstreams, ["1.1.1.1", "9.9.9.9"]);
        assert_eq!(answers.fault(), None);
    }

    #[test]
    fn answers_that_end_early_are_no_answers() {
        let (answers, _) = asked(&format!("{SUBSCRIPTION}\n\n"));
        assert!(matches!(answers, Err(InitError::Ended)));
    }

    #[test]
    fn without_questions_what_has_no_default_has_to_be_told() {
        let mut answers = Answers::default();
        let mut nobody: Option<(&mut &[u8], &mut Vec<u8>)> = None;
        let mut all =
            |answers: &mut Answers| ALL.iter().try_for_each(|question| question.answer(answers, &mut nobody));
        assert!(matches!(all(&mut answers), Err(InitError::Missing { flag: "--application", .. })));
        answers.followed.push(Followed::parse(SUBSCRIPTION));
        answers.role = Some(Role::Push);
        assert!(matches!(all(&mut answers), Err(InitError::Missing { flag: "--server", .. })));
        answers.servers = vec!["10.0.0.53".to_owned()];
        all(&mut answers).expect("the rest has defaults");
        assert_eq!(answers.fault(), None);
    }
}
