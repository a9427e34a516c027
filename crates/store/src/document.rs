//! Words and JSON documents in columns.

use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A value as JSON text, certain to be read back.
///
/// # Errors
/// [`Error::Corrupt`] when it could not be: a number that is not finite has no JSON.
pub(crate) fn to_text<T: Serialize + DeserializeOwned>(value: &T) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|e| unwritable(&e))?;
    serde_json::from_str::<T>(&text).map_err(|e| unwritable(&e))?;
    Ok(text)
}

fn unwritable(why: &serde_json::Error) -> Error {
    Error::Corrupt(format!("A document cannot be stored: {why}."))
}

/// The word that serde writes for a plain enum's variant.
pub(crate) fn word<T: Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => Ok(word),
        other => Err(Error::Corrupt(format!("{other:?} is no word that can be stored."))),
    }
}

/// The variant of a stored word. `what` names the column in the error.
pub(crate) fn from_word<T: DeserializeOwned>(what: &str, word: String) -> Result<T> {
    serde_json::from_value(Value::String(word)).map_err(|e| Error::unreadable(what, e))
}

/// A stored whole number as the model's type. `what` names the column in the error.
pub(crate) fn number<N, T: TryFrom<N, Error: std::fmt::Display>>(what: &str, stored: N) -> Result<T> {
    T::try_from(stored).map_err(|e| Error::unreadable(what, e))
}
