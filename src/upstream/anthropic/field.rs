//! Reading the client's request field by field, knowing where each field stands.
//!
//! Values stay the text the client wrote until someone needs their meaning, so
//! what is only carried over (a number, a tool's schema) arrives digit for digit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Names the field the client must change, and says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
pub struct InvalidField {
    /// Where the field stands: `messages[2].content[0].image_url.url`.
    pub field: String,
    /// What is wrong, worded to follow the field's name: `must be a string`.
    pub reason: String,
}

/// One value of the request, and the path that leads to it.
#[derive(Clone)]
pub(super) struct Field<'a> {
    path: String,
    raw: &'a RawValue,
}

impl<'a> Field<'a> {
    pub fn text(&self) -> Result<Cow<'a, str>, InvalidField> {
        /// Borrows where a bare `Cow` would copy, and images can be megabytes long.
        #[derive(Deserialize)]
        struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

        self.read::<Text>("must be a string").map(|text| text.0)
    }

    pub fn flag(&self) -> Result<bool, InvalidField> {
        self.read("must be true or false")
    }

    pub fn count(&self) -> Result<u64, InvalidField> {
        self.read("must be a whole number, zero or more")
    }

    pub fn number(&self) -> Result<&'a RawValue, InvalidField> {
        self.read::<f64>("must be a number")?;
        Ok(self.raw)
    }

    pub fn list(&self) -> Result<Vec<Field<'a>>, InvalidField> {
        let items: Vec<&'a RawValue> = self.read("must be a list")?;
        let fields = items
            .into_iter()
            .enumerate()
            .map(|(position, raw)| Field { path: format!("{}[{position}]", self.path), raw });
        Ok(fields.collect())
    }

    pub fn object(&self) -> Result<Object<'a>, InvalidField> {
        Ok(Object { path: self.path.clone(), fields: self.read("must be an object")? })
    }

    pub fn is_text(&self) -> bool {
        self.raw.get().starts_with('"')
    }

    pub fn raw(&self) -> &'a RawValue {
        self.raw
    }

    /// Returns the error that blames this field.
    pub fn refuse(&self, reason: impl Into<String>) -> InvalidField {
        InvalidField { field: self.path.clone(), reason: reason.into() }
    }

    fn read<T: Deserialize<'a>>(&self, expectation: &str) -> Result<T, InvalidField> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.refuse(expectation))
    }
}

/// An object of the request whose fields are taken out one by one.
///
/// Whatever is left in the end is what nobody had a use for.
pub(super) struct Object<'a> {
    path: String,
    fields: BTreeMap<String, &'a RawValue>,
}

impl<'a> Object<'a> {
    pub fn of_body(body: &'a [u8]) -> Result<Self, InvalidField> {
        let fields = serde_json::from_slice(body).map_err(|_| InvalidField {
            field: "body".to_owned(),
            reason: "must be a JSON object".to_owned(),
        })?;
        Ok(Self { path: String::new(), fields })
    }

    /// Takes a field out; one that is null counts as absent, as it does for OpenAI.
    pub fn take(&mut self, name: &str) -> Option<Field<'a>> {
        let raw = self.fields.remove(name)?;
        (raw.get() != "null").then(|| Field { path: self.path_of(name), raw })
    }

    pub fn require(&mut self, name: &str) -> Result<Field<'a>, InvalidField> {
        self.take(name)
            .ok_or_else(|| InvalidField { field: self.path_of(name), reason: "is required".to_owned() })
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the names and values of the fields nobody took.
    pub fn leftovers(self) -> impl Iterator<Item = (String, &'a RawValue)> {
        self.fields.into_iter()
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            return name.to_owned();
        }
        format!("{}.{name}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Object<'_> {
        Object::of_body(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_by_its_path() {
        type Read = fn(&Field) -> Result<(), InvalidField>;
        let cases: [(&str, Read, &str); 6] = [
            ("1", |f| f.text().map(drop), "a.b[0] must be a string"),
            ("1", |f| f.flag().map(drop), "a.b[0] must be true or false"),
            ("-1", |f| f.count().map(drop), "a.b[0] must be a whole number, zero or more"),
            ("\"1\"", |f| f.number().map(drop), "a.b[0] must be a number"),
            ("{}", |f| f.list().map(drop), "a.b[0] must be a list"),
            ("[]", |f| f.object().map(drop), "a.b[0] must be an object"),
        ];
        for (value, read, expected) in cases {
            let json = format!(r#"{{"a": {{"b": [{value}]}}}}"#);
            let mut inner = body(&json).require("a").unwrap().object().unwrap();
            let item = &inner.require("b").unwrap().list().unwrap()[0];
            assert_eq!(read(item).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn null_counts_as_absent() {
        let mut object = body(r#"{"a": null}"#);
        let refusal = object.require("a").err().unwrap();
        assert_eq!(refusal.to_string(), "a is required");
        assert!(object.is_empty());
    }

    #[test]
    fn a_number_keeps_the_digits_the_client_wrote() {
        let mut object = body(r#"{"a": 0.10000000000000000001}"#);
        let number = object.require("a").unwrap().number().unwrap();
        assert_eq!(number.get(), "0.10000000000000000001");
    }

    #[test]
    fn text_is_borrowed_unless_it_holds_escapes() {
        let mut object = body(r#"{"plain": "abc", "escaped": "a\nc"}"#);
        assert!(matches!(object.require("plain").unwrap().text(), Ok(Cow::Borrowed("abc"))));
        assert_eq!(object.require("escaped").unwrap().text().unwrap(), "a\nc");
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for nonsense in ["", "[]", "{", "\u{0}"] {
            let refusal = Object::of_body(nonsense.as_bytes()).err().unwrap();
            assert_eq!(refusal.to_string(), "body must be a JSON object");
        }
    }
}
