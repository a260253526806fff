//! Good and bad key files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

/// 32 octets, and what shows that a message repeats them.
const SECRET: &str = "U2VjcmV0U2VjcmV0U2VjcmV0U2VjcmV0U2VjcmV0MTI=";

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("a mode");
}

fn read(content: impl AsRef<[u8]>) -> Result<Keys, KeyFileError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys");
    write(&path, content);
    Keys::read(&[path])
}

fn names(keys: &Keys) -> Vec<String> {
    keys.iter().map(|key| format!("{} {}", key.name(), key.algorithm())).collect()
}

/// What is told of a content, without the directory.
fn told(content: impl AsRef<[u8]>) -> String {
    let error = read(content).expect_err("refused");
    let directory = format!("{}/", error.file.parent().expect("a directory").display());
    error.to_string().replace(&directory, "")
}

#[test]
fn keys_are_read_as_people_and_tools_write_them() {
    // As tsig-keygen of BIND 9.18 prints it.
    let keygen = format!("key \"tsig-key\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
    assert_eq!(names(&read(&keygen).expect("read")), ["tsig-key hmac-sha256"]);
    let by_hand = format!(
        "# one\n// two\n/* three\n key \"no\" {{ }}; */ KEY B.example. {{ /**/ Secret {SECRET} ; # here\n\
         algorithm HMAC-SHA512. ; }} ;key\"a\"{{algorithm \"hmac-sha384\";secret\"{SECRET}\";}};",
    );
    assert_eq!(names(&read(&by_hand).expect("read")), ["a hmac-sha384", "b.example hmac-sha512"]);
    let toml = format!(
        "# a comment\n\n[[key]]\nname = \"b\"\nalgorithm = 'hmac-sha256'\nsecret = \"{SECRET}\"\n\
         [[key]]\nname = \"a.example.\"\nalgorithm = \"hmac-sha512\"\nsecret = '''\n{SECRET}\n'''\n"
    );
    let keys = read(&toml).expect("read");
    assert_eq!(names(&keys), ["a.example hmac-sha512", "b hmac-sha256"]);
    assert_eq!(
        keys.get(&"B".parse().expect("a name")).expect("a key").secret(),
        b"SecretSecretSecretSecretSecret12"
    );
    let spaced = keygen.replace("U2Vj", " U2 \tVj\r ");
    assert_eq!(read(&spaced).expect("read"), read(&keygen).expect("read"));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_to_write_and_without_the_secret() {
    const CLAUSE: &str = "write key \"NAME\" { algorithm hmac-sha256; secret \"BASE64\"; };";
    const TABLE: &str =
        "write [[key]], and below it name = \"NAME\", algorithm = \"hmac-sha256\", secret = \"BASE64\"";
    const NAME: &str = "write a name of letters, digits, '-', '_' and dots, at most 63 between two dots";
    const PRINTS: &str = "write a clause such as `privatelink-dns tsig generate NAME` prints";
    for (content, expected) in [
        ("", format!("keys holds no key; {PRINTS}")),
        ("# nothing\n", format!("keys holds no key; {PRINTS}")),
        ("/* nothing", "keys:1: this comment does not end; end it with */".to_owned()),
        ("/*\n*/\n/* n\n", "keys:3: this comment does not end; end it with */".to_owned()),
        ("options { };", format!("keys:1: this is no key clause; {CLAUSE}")),
        ("\n\n\"S=\";", format!("keys:3: this is no key clause; {CLAUSE}")),
        ("key", format!("keys:1: nothing stands after \"key\"; {CLAUSE}")),
        ("key \"\" {", format!("keys:1: nothing stands after \"key\"; {CLAUSE}")),
        ("key S= = S=", format!("keys:1: there is no {{ after the name of the key; {CLAUSE}")),
        ("key = \"S=\"", format!("keys:1: there is no {{ after the name of the key; {CLAUSE}")),
        ("key a {\nalgorithm hmac-sha256;\n", format!("keys:3: the clause does not end; {CLAUSE}")),
        ("key a {\n{", format!("keys:2: the clause does not end; {CLAUSE}")),
        ("key a { secret \"S=\"; }", format!("keys:1: there is no ; after the }} of the clause; {CLAUSE}")),
        ("key a { secret \"S=\" }", format!("keys:1: there is no ; after the secret; {CLAUSE}")),
        ("key a { secret \"S=\n\"; };", "keys:1: this quote does not end in its line; end it with \"".to_owned()),
        ("key a { secret ;", format!("keys:1: nothing stands after \"secret\"; {CLAUSE}")),
        ("key a { S= b;", format!("keys:1: a key has algorithm and secret, and nothing else; {CLAUSE}")),
        (
            "key a {\n secret S=; \nsecret S=; };",
            "keys:3: the key has two secrets; remove one of them".to_owned(),
        ),
        (
            "key a { secret S=; };",
            "keys:1: the key has no algorithm; add algorithm hmac-sha256".to_owned(),
        ),
        (
            "key a { algorithm hmac-sha256; };",
            "keys:1: the key has no secret; add its secret in base64".to_owned(),
        ),
        (
            "key a {\n algorithm hmac-md5; secret S=; };",
            "keys:2: key a: no known algorithm: hmac-sha256, hmac-sha384 and hmac-sha512 are; write hmac-sha256 \
             here and on the other side"
                .to_owned(),
        ),
        ("key S= { algorithm hmac-sha256; secret S=; };", format!("keys:1: the name of the key is no host name; {NAME}")),
        (
            "key a { algorithm hmac-sha256;\n secret \"S\"; };",
            "keys:2: key a: the secret is not base64; copy the whole secret, with its '='".to_owned(),
        ),
        (
            "key a { algorithm hmac-sha256; secret AAAAAAAAAAAAAAAAAAAA; };",
            "keys:1: key a: the secret has 15 octets, at least 16 are needed; make another key with \
             `privatelink-dns tsig generate a`, for both sides"
                .to_owned(),
        ),
        (
            "[[key]]\nname = \"a\"\nalgorithm = \"hmac-sha256\"\nsecret = S=\n",
            format!("keys:4: this is not TOML: unexpected key or value, expected newline, `#`; {TABLE}"),
        ),
        ("[key]\nsecret = \"S=\"", format!("keys:1: this is no [[key]]; {TABLE}")),
        ("[[keys]]\nsecret = \"S=\"", format!("keys:1: a key file has nothing but [[key]]; {TABLE}")),
        ("[a]\n[[key]]\nsecret = \"S=\"", format!("keys:1: this is no [[key]]; {TABLE}")),
        (
            "[[key]]\nname = \"a\"\nsecrets = \"S=\"",
            format!("keys:3: a [[key]] has name, algorithm and secret, and nothing else; {TABLE}"),
        ),
        ("[[key]]\nname = \"a\"\nsecret = 12345", "keys:3: the secret is no text; put it in quotes".to_owned()),
        (
            "[[key]]\nname = \"a\"\nalgorithm = \"hmac-sha256\"\n[[key]]\n",
            "keys:1: the key has no secret; add its secret in base64".to_owned(),
        ),
        ("[[key]]\n[[key]]\n", "keys:1: the key has no name; add its name, the same as on the other side".to_owned()),
    ] {
        // `S=` stands for a secret that must not be told, wherever somebody wrote it.
        let said = told(content.replace("S=", SECRET).replace("\"S\"", "\"U2VjcmV0MTI\""));
        assert_eq!(said, expected, "{content}");
    }
    assert_eq!(told([0xff]), format!("keys is no text; {PRINTS}"));
    assert_eq!(told(vec![b' '; 65537]), "keys has more than 64 KiB; name the right file");
}

#[test]
fn files_that_others_can_open_are_refused_and_so_is_what_is_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys");
    write(&path, format!("key a {{ algorithm hmac-sha256; secret {SECRET}; }};"));
    for (mode, good) in [(0o400, true), (0o660, true), (0o644, false), (0o642, false), (0o641, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        let result = Keys::read(std::slice::from_ref(&path));
        assert_eq!(result.is_ok(), good, "{mode:o}");
        if let Err(error) = result {
            let advice = format!("run chmod 0640 {}", path.display());
            assert!(error.to_string().contains(&advice), "{error}");
        }
    }
    let said = Keys::read(&[directory.path().to_owned()]).expect_err("refused").to_string();
    assert_eq!(said, format!("{} is no regular file; name a file", directory.path().display()));
    let said = Keys::read(&[directory.path().join("none")]).expect_err("refused").to_string();
    assert!(said.contains("create the file or correct the path"), "{said}");
}

#[test]
fn a_name_has_one_key_however_often_it_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
    let clause = |name: &str, algorithm: &str, secret: &str| {
        format!("key {name} {{\n algorithm {algorithm};\n secret {secret};\n}};\n")
    };
    write(&one, clause("a", "hmac-sha256", SECRET));
    let both = [one.clone(), two.clone()];
    write(&two, clause("A.", "hmac-sha256", SECRET) + &clause("b", "hmac-sha256", SECRET));
    assert_eq!(names(&Keys::read(&both).expect("read")), ["a hmac-sha256", "b hmac-sha256"]);
    for other in
        [clause("A.", "hmac-sha512", SECRET), clause("a", "hmac-sha256", &SECRET.replace("MTI", "MTM"))]
    {
        write(&two, format!("\n{other}"));
        let error = Keys::read(&both).expect_err("refused");
        let expected =
            format!("key a stands in {}:1 as well, with another algorithm or secret", one.display());
        assert_eq!((error.line, error.problem), (Some(2), expected));
    }
    assert!(Keys::read(&[]).expect("read").is_empty());
}

#[test]
fn a_key_is_not_printed_by_accident() {
    let key =
        Key::new("a".parse().expect("a name"), Algorithm::HmacSha256, b"SecretSecretSecretSecretSecret12");
    let key = key.expect("a key");
    let shown = format!("{key:?} {:?} {:?}", key.clause(), Keys::from_iter([key.clone()]));
    assert!(!shown.contains("Secret1") && !shown.contains("U2Vj") && !shown.contains("83, 101"), "{shown}");
}

proptest! {
    #[test]
    fn what_is_made_here_is_read_here(
        name in "[a-z0-9_-]{1,20}(\\.[a-z0-9-]{1,20}){0,3}",
        algorithm in prop::sample::select(vec![Algorithm::HmacSha256, Algorithm::HmacSha384, Algorithm::HmacSha512]),
    ) {
        let key = Key::generate(name.parse().expect("a name"), algorithm).expect("a key");
        prop_assert_eq!(key.secret().len(), algorithm.length());
        let parsed = parse(key.clause().expose_secret()).expect("read");
        prop_assert_eq!(parsed, vec![(1, key)]);
    }

    #[test]
    fn no_text_does_harm(text in "(key|algorithm|secret|hmac-sha256|[a-z\"{};#/*=\\[\\]\n ü])*") {
        let _ = parse(&text);
    }
}
