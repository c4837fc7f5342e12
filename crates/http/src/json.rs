//! Reading a body as JSON without ambiguity: a key that stands twice in one object is noted, since two parties that read it could take
//! different values.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why a body is not the JSON that was wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// It is no JSON, or nested too deeply.
    Json(&'static str),
    /// The key at this place, a JSON pointer, is there twice.
    Twice(String),
}

/// Reads JSON.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, NotRead> {
    let (mut path, mut twice, mut left) = (Vec::new(), None, MOST_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let strict = Strict { path: &mut path, twice: &mut twice, left: &mut left };
    let value = strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match (value, twice) {
        (Ok(_), Some(place)) => Err(NotRead::Twice(place)),
        (Ok(value), None) => Ok(value),
        (Err(error), _) if error.to_string().starts_with("recursion limit") => {
            Err(NotRead::Json("must be nested at most 127 levels deep"))
        }
        (Err(_), _) if left == 0 => Err(NotRead::Json("must hold at most 20,000 values")),
        (Err(_), _) => Err(NotRead::Json("must be JSON")),
    }
}

/// Reads a value, knows where it stands, and notes the first key that is there twice.
struct Strict<'a> {
    path: &'a mut Vec<Step>,
    twice: &'a mut Option<String>,
    /// How many more values there may be.
    left: &'a mut usize,
}

/// The most values of a body, those in others included. A value takes more memory than the two bytes that it may have in JSON.
const MOST_VALUES: usize = 20_000;

/// A step on the way to a value.
enum Step {
    Key(String),
    Item(usize),
}

/// The way to a value, as a JSON pointer.
fn pointer(path: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Step::Item(number) => format!("/{number}"),
    };
    path.iter().map(step).collect()
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left = self.left.saturating_sub(1);
        if *self.left == 0 {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Self { path, twice, left } = self;
        let mut values = Vec::new();
        loop {
            path.push(Step::Item(values.len()));
            let next = items.next_element_seed(Strict { path: &mut *path, twice: &mut *twice, left: &mut *left })?;
            path.pop();
            match next {
                Some(value) => values.push(value),
                None => return Ok(values.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let Self { path, twice, left } = self;
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            path.push(Step::Key(key));
            if matches!(path.last(), Some(Step::Key(key)) if fields.contains_key(key)) {
                twice.get_or_insert_with(|| pointer(path));
            }
            let value = entries.next_value_seed(Strict { path: &mut *path, twice: &mut *twice, left: &mut *left })?;
            let Some(Step::Key(key)) = path.pop() else { return Err(A::Error::custom("a key is missing")) };
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let twice = |place: &str| Err(NotRead::Twice(place.to_owned()));
        let broken = Err(NotRead::Json("must be JSON"));
        for (text, expected) in [
            (r#"{"a":1,"b":{"a":2}}"#, Ok(())),
            (r#"{"a":1,"a":1}"#, twice("/a")),
            (r#"{"a":[{"b/c":1,"b~d":{"x":1,"x":2}},5]}"#, twice("/a/0/b~0d/x")),
            (r#"{"a":1,"\u0061":2}"#, twice("/a")),
            ("{\"a\":1} x", Err(NotRead::Json("must be JSON"))),
            ("", broken),
            (&deep(127), Ok(())),
            (&format!("[{}1]", "1,".repeat(19_000)), Ok(())),
            (&format!("[{}1]", "1,".repeat(21_000)), Err(NotRead::Json("must hold at most 20,000 values"))),
            (&deep(128), Err(NotRead::Json("must be nested at most 127 levels deep"))),
        ] {
            assert_eq!(read(text.as_bytes()).map(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn as_serde_json_reads_it() {
        for text in
            [r#"{"a":[1,-2,3.5,"x",null,true,{"b":[]}],"c":1e300,"d":18446744073709551615}"#, "[]", "\"x\"", "5"]
        {
            assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }
}
