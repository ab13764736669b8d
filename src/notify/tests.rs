use super::*;

fn note(message: &str, step: Option<i32>) -> Note {
    Note { warning: true, reason: "RolledBack", message: message.to_owned(), step }
}

#[test]
fn notes_are_cut_between_characters() {
    let long = "x".to_owned() + &"é".repeat(600);
    let cut = event(&note(&long, None)).note.unwrap();
    assert_eq!(cut.len(), 1023);
    assert!(long.starts_with(&cut));
    let fits = "x".repeat(NOTE_LIMIT);
    assert_eq!(event(&note(&fits, None)).note, Some(fits));
}

#[test]
fn each_step_has_its_own_reference() {
    let reference = || ObjectReference {
        name: Some("color".into()),
        resource_version: Some("7".into()),
        ..ObjectReference::default()
    };
    let cases = [
        (None, None),
        (Some(0), None),
        (Some(1), Some("spec.strategy.canary.steps[0]")),
        (Some(3), Some("spec.strategy.canary.steps[2]")),
    ];
    for (step, want) in cases {
        let about = about(reference(), step);
        assert_eq!(about.field_path.as_deref(), want, "{step:?}");
        assert_eq!(about.name.as_deref(), Some("color"));
        assert_eq!(about.resource_version, None, "else repeated Events would not be folded");
    }
}
