//! JSON objects in which no member may appear twice, at any depth that is looked at.
//!
//! Two readers that pick different ones of two equal members disagree about what was signed; serde's derived readers
//! notice that for the members they know only, and read an array as a struct besides.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// More members than any object we read has a use for.
const MAX_MEMBERS: usize = 32;

/// The text is not a JSON object we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object, or one with too many or repeated members")]
pub(crate) struct NotAnObject;

/// A JSON object with unique members.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// A member's value, as far as anything here asks for it.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Object(Object<'a>),
    Other,
}

impl<'a> Object<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, NotAnObject> {
        match serde_json::from_slice(json) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(Value::Text(_) | Value::Other) | Err(_) => Err(NotAnObject),
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The text of a member; `None` where the object has no such member.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, NotText> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Object(_) | Value::Other) => Err(NotText),
        }
    }
}

/// A member that must be a string is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotText;

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Reads a struct from an object, and from nothing else.
pub(crate) fn members<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Members(PhantomData))
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Value<'de>)> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            if members.len() == MAX_MEMBERS || members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("repeated or too many members"));
            }
            members.push((name, map.next_value()?));
        }
        Ok(Value::Object(Object(members)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }
}

/// A member's name; `Cow` alone would always be copied by serde.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_members_are_refused_at_every_depth() {
        assert!(Object::parse(br#"{"a":"1","b":{"c":1,"d":[1,{}]}}"#).is_ok());
        for json in
            [&br#"{"a":"1","a":"1"}"#[..], br#"{"a":1,"\u0061":1}"#, br#"{"b":{"c":1,"c":2}}"#]
        {
            assert_eq!(Object::parse(json).err(), Some(NotAnObject));
        }
    }

    #[test]
    fn only_one_object_and_nothing_else_is_read() {
        for json in ["", "[]", "1", "null", "\"a\"", "{}{}", "{} x", "{'a':1}", "{\"a\"}"] {
            assert_eq!(Object::parse(json.as_bytes()).err(), Some(NotAnObject), "{json}");
        }
        assert!(Object::parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(Object::parse("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn an_object_with_thousands_of_members_is_refused() {
        let members: Vec<String> = (0..10_000).map(|i| format!("\"m{i}\":0")).collect();
        assert!(Object::parse(format!("{{{}}}", members.join(",")).as_bytes()).is_err());
    }
}
