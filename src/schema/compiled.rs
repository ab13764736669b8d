//! Schemas that were compiled in this process, kept for the next server or CRD that has the same.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use serde_json::Value;

use super::{Schema, SchemaError};

/// How many are kept. More different ones than this are not in use at once.
const KEPT: usize = 64;

/// A compiled schema and what of it this server cannot evaluate.
#[derive(Debug)]
pub struct Compiled {
    /// The schema.
    pub schema: Schema,
    /// See [`Schema::compile`].
    pub warnings: Vec<String>,
}

impl Compiled {
    /// Compiles an `openAPIV3Schema`, or finds it compiled: a server asks for each twice, and the tests start hundreds
    /// of servers with the same.
    pub fn of(open_api_v3_schema: &Value) -> Result<Arc<Self>, SchemaError> {
        static COMPILED: LazyLock<Mutex<HashMap<Value, Arc<Compiled>>>> = LazyLock::new(Mutex::default);
        // What is kept is whole at every moment.
        let kept = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept().get(open_api_v3_schema) {
            return Ok(Arc::clone(found));
        }
        let (schema, warnings) = Schema::compile(open_api_v3_schema)?;
        let compiled = Arc::new(Self { schema, warnings });
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(open_api_v3_schema.clone(), Arc::clone(&compiled));
        Ok(compiled)
    }
}
