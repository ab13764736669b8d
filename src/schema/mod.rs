//! Structural schemas of custom resources, as a Kubernetes API server applies them: prune, default, validate.
//!
//! A [`Schema`] is compiled once per CRD version. What this server cannot evaluate is listed as a warning when the
//! schema is compiled, and refuses the objects it applies to: a rule is never passed by silence.

mod cel;
mod cel_values;
mod compile;
mod compiled;
mod defaults;
mod fields;
mod formats;
mod keywords;
mod lists;
mod node;
mod pattern;
mod prune;
mod validate;

#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;

use serde_json::Value;

pub use compile::SchemaError;
pub use compiled::Compiled;
pub use fields::FieldError;

/// The compiled structural schema of one CRD version.
#[derive(Debug)]
pub struct Schema {
    root: node::Node,
}

impl Schema {
    /// Compiles an `openAPIV3Schema`. The warnings name what this server cannot evaluate, such as a CEL rule that
    /// uses a macro it lacks; objects to which such a rule applies are refused by [`Schema::validate`].
    pub fn compile(open_api_v3_schema: &Value) -> Result<(Self, Vec<String>), SchemaError> {
        let (root, warnings) = compile::compile(open_api_v3_schema)?;
        Ok((Self { root }, warnings))
    }

    /// Removes the fields that the schema does not know and returns their paths, such as `spec.routes[0].bar`.
    /// `apiVersion`, `kind` and `metadata` of the root and of embedded resources are left alone.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(&self.root, object)
    }

    /// Fills absent fields with their defaults. A null in a field that is not nullable becomes the default, or is
    /// dropped where there is none.
    pub fn apply_defaults(&self, object: &mut Value) {
        defaults::apply(&self.root, object);
    }

    /// Everything that is wrong with `new`, a pruned and defaulted object. `old` is the stored object on an update:
    /// transition rules (those that use `oldSelf`) run only then.
    ///
    /// As upstream, CEL rules are left out while the object is so malformed that they could not be trusted; an
    /// error then says so.
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.check_values(new, &mut errors);
        self.check_rules(new, old, &mut errors);
        errors
    }

    /// What is wrong with the values themselves: all but the CEL rules.
    pub fn check_values(&self, new: &Value, errors: &mut Vec<FieldError>) {
        validate::validate(&self.root, new, "", errors);
        lists::check_unique(&self.root, new, "", errors);
    }

    /// The CEL rules that are broken, unless what is known to be wrong already keeps them from being run.
    pub fn check_rules(&self, new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
        if !self.root.has_rules() {
            return;
        }
        if errors.iter().any(FieldError::blocks_rules) {
            errors.push(FieldError::rules_not_checked());
        } else {
            cel::check(&self.root, new, old, errors);
        }
    }
}
