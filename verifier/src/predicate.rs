//! What is said about a build: the predicates, each built from the record of a build and read
//! back by the verifier through the same type.

pub mod evidence_index;
pub mod provenance;
pub mod reproducibility;
pub mod runtime_trace;
pub mod scai;
pub mod svr;
pub mod test_result;
pub mod vsa;

use repro_core::json::CanonicalError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::statement::{Statement, Subject};

/// A predicate with its type.
pub trait Predicate: Serialize + DeserializeOwned {
    /// URI of the type.
    const TYPE: &'static str;

    /// The statement that this predicate holds for `subjects`.
    fn statement(&self, subjects: Vec<Subject>) -> Result<Statement, CanonicalError> {
        let predicate = match serde_json::to_value(self)? {
            Value::Object(fields) => fields,
            // Every predicate is a struct; a statement of an empty one would be refused by
            // whoever reads it.
            _ => Map::new(),
        };
        Ok(Statement {
            subjects,
            predicate_type: Self::TYPE.into(),
            predicate,
        })
    }

    /// Reads the predicate of a statement whose type was compared already.
    fn of(statement: &Statement) -> Result<Self, serde_json::Error> {
        serde_json::from_value(Value::Object(statement.predicate.clone()))
    }
}
