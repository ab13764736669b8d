//! What the regular expressions of Envoy (RE2) lack. A gateway refuses all of its routes for one pattern that it can't read, so such
//! a pattern is refused before it gets there.

use regex_syntax::ast::{
    AssertionKind, Ast, ClassSetBinaryOp, ClassSetItem, ClassUnicodeKind, Flag, Flags, FlagsItemKind,
    GroupKind, HexLiteralKind, Literal, LiteralKind, RepetitionKind, RepetitionRange, Visitor, visit,
};

/// RE2 repeats nothing more often, repetitions of repetitions multiplied.
const MOST_REPEATS: u32 = 1000;

/// Scripts that both know by these names.
const SCRIPTS: [&str; 12] = [
    "Arabic",
    "Armenian",
    "Cyrillic",
    "Devanagari",
    "Greek",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Katakana",
    "Latin",
    "Thai",
];

/// What of a pattern RE2 does not know, if anything.
pub(super) fn unknown_to_re2(pattern: &Ast) -> Option<&'static str> {
    visit(pattern, Check { repeats: vec![1] }).err()
}

struct Check {
    /// How often what stands here may be repeated, by each repetition around it.
    repeats: Vec<u32>,
}

impl Visitor for Check {
    type Output = ();
    type Err = &'static str;

    fn finish(self) -> Result<(), Self::Err> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::Repetition(repetition) if matches!(*repetition.ast, Ast::Repetition(_)) => {
                Err("a repetition right after another one: put the first in (?:...)")
            }
            Ast::Repetition(repetition) => {
                let around = self.repeats.last().copied().unwrap_or(1);
                let all = around.saturating_mul(times(&repetition.op.kind).max(1));
                if all > MOST_REPEATS {
                    return Err("more than 1000 repetitions");
                }
                self.repeats.push(all);
                Ok(())
            }
            Ast::Flags(set) => flags(&set.flags),
            Ast::Group(group) => match &group.kind {
                GroupKind::NonCapturing(given) => flags(given),
                GroupKind::CaptureIndex(_) | GroupKind::CaptureName { .. } => Ok(()),
            },
            Ast::Literal(given) => literal(given),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => Ok(()),
                AssertionKind::WordBoundaryStart
                | AssertionKind::WordBoundaryEnd
                | AssertionKind::WordBoundaryStartAngle
                | AssertionKind::WordBoundaryEndAngle
                | AssertionKind::WordBoundaryStartHalf
                | AssertionKind::WordBoundaryEndHalf => Err("a boundary other than \\b and \\B"),
            },
            Ast::ClassUnicode(class) => unicode(&class.kind),
            Ast::Empty(_)
            | Ast::Dot(_)
            | Ast::ClassPerl(_)
            | Ast::ClassBracketed(_)
            | Ast::Alternation(_)
            | Ast::Concat(_) => Ok(()),
        }
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        if matches!(ast, Ast::Repetition(_)) {
            self.repeats.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        match item {
            ClassSetItem::Literal(given) => literal(given),
            ClassSetItem::Range(range) => literal(&range.start).and_then(|()| literal(&range.end)),
            ClassSetItem::Unicode(class) => unicode(&class.kind),
            ClassSetItem::Bracketed(_) => Err("a class within a class"),
            ClassSetItem::Empty(_)
            | ClassSetItem::Ascii(_)
            | ClassSetItem::Perl(_)
            | ClassSetItem::Union(_) => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), Self::Err> {
        Err("the operators &&, -- and ~~ in a class")
    }
}

/// How often at most, where that is bounded; else how often at least.
fn times(kind: &RepetitionKind) -> u32 {
    match kind {
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 1,
        RepetitionKind::Range(
            RepetitionRange::Exactly(most)
            | RepetitionRange::AtLeast(most)
            | RepetitionRange::Bounded(_, most),
        ) => *most,
    }
}

fn flags(flags: &Flags) -> Result<(), &'static str> {
    let known = flags.items.iter().all(|item| match item.kind {
        FlagsItemKind::Negation
        | FlagsItemKind::Flag(
            Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed,
        ) => true,
        FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => false,
    });
    if known { Ok(()) } else { Err("flags other than i, m, s and U") }
}

fn literal(literal: &Literal) -> Result<(), &'static str> {
    match &literal.kind {
        LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
        | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
            Err("\\u and \\U: write \\x{...}")
        }
        LiteralKind::HexFixed(HexLiteralKind::X)
        | LiteralKind::HexBrace(HexLiteralKind::X)
        | LiteralKind::Verbatim
        | LiteralKind::Meta
        | LiteralKind::Superfluous
        | LiteralKind::Octal
        | LiteralKind::Special(_) => Ok(()),
    }
}

fn unicode(kind: &ClassUnicodeKind) -> Result<(), &'static str> {
    match kind {
        ClassUnicodeKind::OneLetter(_) => Ok(()),
        ClassUnicodeKind::Named(name) if name.len() <= 2 || SCRIPTS.contains(&name.as_str()) => Ok(()),
        ClassUnicodeKind::Named(_) => {
            Err("\\p{...} of more than a general category in one or two letters, or a common script")
        }
        ClassUnicodeKind::NamedValue { .. } => Err("\\p{name=value}: write \\p{value}"),
    }
}

#[cfg(test)]
mod tests {
    use regex_syntax::ast::parse::Parser;

    use super::*;

    #[test]
    fn what_re2_does_not_know_is_found() {
        let unknown = |pattern: &str| unknown_to_re2(&Parser::new().parse(pattern).unwrap());
        for pattern in [
            "/a/.*",
            r"/v\d+/[a-z]{1,20}(/|$)",
            "(?i)x(?-i)y",
            r"(?P<id>\w+)",
            r"\x41\x{42}\pL\p{Greek}[\x41-\x5a_]",
            "(a{10}){100}",
            r"\bx\B\A\z",
            "[[:alpha:]]",
            "(?:x|y)*?",
            "(?:a+)*",
            r"\p{Lu}",
        ] {
            assert_eq!(unknown(pattern), None, "{pattern}");
        }
        let cases = [
            ("a{1001}", "repetitions"),
            ("(a{10}){101}", "repetitions"),
            ("((a{2,50})*x){30}", "repetitions"),
            ("(?x) a b", "flags"),
            ("(?u:a)", "flags"),
            (r"\u{41}", r"\u"),
            (r"[\u0041-z]", r"\u"),
            (r"\b{start}x", "boundary"),
            (r"\<x", "boundary"),
            ("[a-z&&[^x]]", "operators"),
            ("[a[b]]", "within"),
            (r"\p{sc=Greek}", "value"),
            (r"\p{Alphabetic}", "category"),
            (r"\p{Letter}", "category"),
            ("a{2}*", "right after"),
            ("a**", "right after"),
        ];
        for (pattern, want) in cases {
            assert!(
                unknown(pattern).is_some_and(|why| why.contains(want)),
                "{pattern}: {:?}",
                unknown(pattern)
            );
        }
        assert_eq!(unknown("(a{10}){2}b{900}"), None, "what stands beside is not multiplied");
    }
}
