//! What was found, and how it is told.

use serde::Serialize;

use crate::kubectl::out::{Look, Tone};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Severity {
    /// It would be refused, or could never work.
    Error,
    /// It may not do what is meant.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Error => Tone::Bad,
            Self::Warning => Tone::Warn,
            Self::Note => Tone::Faint,
        }
    }
}

/// Where a document stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file, as it was given.
    pub file: String,
    /// The document in it, from 1; none where the file has but one.
    pub document: Option<usize>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.document {
            Some(document) => write!(f, "{}#{document}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Something that was found in a field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub severity: Severity,
    /// Empty where it is about all of the object.
    pub field: String,
    pub message: String,
}

impl Fault {
    pub(super) fn error(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, field: field.into(), message: message.into() }
    }

    pub(super) fn warning(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(field, message) }
    }

    pub(super) fn note(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(field, message) }
    }
}

/// A fault, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    place: Place,
    /// Kind and name; none where the document is no object.
    object: Option<String>,
    fault: Fault,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// How many files were read.
    pub files: usize,
    /// How many objects they have.
    pub objects: usize,
    findings: Vec<Finding>,
}

/// A report, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Spelled<'a> {
    findings: Vec<SpelledFinding<'a>>,
    files: usize,
    objects: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
}

#[derive(Debug, Serialize)]
struct SpelledFinding<'a> {
    file: &'a str,
    document: usize,
    severity: Severity,
    object: Option<&'a str>,
    field: Option<&'a str>,
    message: &'a str,
}

impl Report {
    /// Takes a finding in.
    pub(super) fn add(&mut self, place: &Place, object: Option<String>, fault: Fault) {
        self.findings.push(Finding { place: place.clone(), object, fault });
    }

    /// By file and document; what is of one document stays in the order in which it was found.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by(|one, other| one.place.cmp(&other.place));
    }

    /// Whether the manifests should not be applied.
    pub(super) fn fails(&self, strict: bool) -> bool {
        self.count(Severity::Error) > 0 || (strict && self.count(Severity::Warning) > 0)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.fault.severity == severity).count()
    }

    /// A line a finding, and one that counts them.
    pub(super) fn lines(&self, look: Look) -> Vec<String> {
        let one = |finding: &Finding| {
            let Finding { place, object, fault } = finding;
            let severity = look.paint(fault.severity.tone(), fault.severity.word());
            let field = Some(&fault.field).filter(|field| !field.is_empty());
            let about: String = object.iter().chain(field).map(|about| format!("{about}: ")).collect();
            format!("{place}: {severity}: {about}{}", fault.message)
        };
        let counted = format!(
            "{}, {}: {}, {}",
            plural(self.files, "file"),
            plural(self.objects, "object"),
            plural(self.count(Severity::Error), "error"),
            plural(self.count(Severity::Warning), "warning")
        );
        self.findings.iter().map(one).chain([counted]).collect()
    }

    /// The same for programs.
    pub(super) fn spelled(&self) -> Spelled<'_> {
        let findings = self.findings.iter().map(SpelledFinding::of).collect();
        Spelled {
            findings,
            files: self.files,
            objects: self.objects,
            errors: self.count(Severity::Error),
            warnings: self.count(Severity::Warning),
            notes: self.count(Severity::Note),
        }
    }
}

impl<'a> SpelledFinding<'a> {
    fn of(finding: &'a Finding) -> Self {
        let Finding { place, object, fault } = finding;
        Self {
            file: &place.file,
            document: place.document.unwrap_or(1),
            severity: fault.severity,
            object: object.as_deref(),
            field: Some(fault.field.as_str()).filter(|field| !field.is_empty()),
            message: &fault.message,
        }
    }
}

fn plural(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
