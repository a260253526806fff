use super::*;
use crate::sync::Book;
use crate::sync::tests::build::{at, config, found, id, listed};

/// The metrics of a book.
fn rendered(book: &Book) -> String {
    let view = View {
        generation: book.generation().cloned(),
        applications: book.reports().clone(),
        holds: book.holds(),
        ..View::empty(at(0))
    };
    Metrics::new(Registry::new()).render(&view, &[], &[]).expect("consistent metrics")
}

fn assert_has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == format!("privatelink_dns_{line}")), "no {line} in {text}");
}

#[test]
fn held_removals_are_counted_in_whichever_form_is_published() {
    for (publish, zone) in [
        ("", "privatelink.azure-devices.net"),
        ("per_name_zones = true", "privatelink.azure-devices.net"),
        ("privatelink_zones = false\nper_name_zones = true", "per-name"),
    ] {
        let config = config(&format!("{}[publish]\n{publish}\n", listed(&id("a"))));
        let mut book = Book::open(None, config, at(0));
        book.observe(found(&id("a"), 5), at(0));
        book.observe(found(&id("a"), 3), at(1));
        assert_eq!(book.holds().len(), 2);
        assert_has(&rendered(&book), &format!("guard_pending{{zone=\"{zone}\"}} 2"));
    }
}

#[test]
fn applications_of_the_same_name_in_two_subscriptions_are_told_apart() {
    let a = id("a");
    let b = a.as_str().replace("00000000-0", "11111111-1").parse().expect("an id");
    let mut book = Book::open(None, config(&format!("{}{}", listed(&a), listed(&b))), at(0));
    book.observe(found(&a, 5), at(0));
    book.observe(found(&b, 2), at(0));
    book.fail(&b, "no", at(1));
    let text = rendered(&book);
    let of = |id: &ResourceId| format!("subscription=\"{}\"", id.subscription());
    assert_has(&text, &format!("application_names{{app=\"rg/a\",{}}} 5", of(&a)));
    assert_has(&text, &format!("application_names{{app=\"rg/a\",{}}} 2", of(&b)));
    assert_has(&text, &format!("poll_total{{app=\"rg/a\",result=\"failure\",{}}} 0", of(&a)));
    assert_has(&text, &format!("poll_total{{app=\"rg/a\",result=\"failure\",{}}} 1", of(&b)));
}
