//! Texts of senders: whatever stands where a text should, and paragraphs made of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Whatever stands where a text should: of a number or a truth value its text, of anything else nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text(pub(crate) String);

impl Text {
    /// The text, if there is one to be seen.
    pub(crate) fn said(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|text| !text.is_empty())
    }
}

struct AnyText;

impl<'de> Visitor<'de> for AnyText {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }

    fn visit_bool<E>(self, it: bool) -> Result<Text, E> {
        Ok(Text(it.to_string()))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Text, E> {
        Ok(Text(it.to_string()))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Text, E> {
        Ok(Text(it.to_string()))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Text, E> {
        Ok(Text(it.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Text, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyText)
    }
}

/// Names and texts, such as labels; of anything that is no object nothing: some languages write an empty map as `[]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts(pub(crate) BTreeMap<String, Text>);

impl Texts {
    /// The first of these names that says something.
    pub(crate) fn first_said(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.0.get(*name).and_then(Text::said))
    }

    /// The names and texts.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.0.as_str()))
    }
}

struct AnyTexts;

impl<'de> Visitor<'de> for AnyTexts {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Texts, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((name, text)) = fields.next_entry()? {
            texts.insert(name, text);
        }
        Ok(Texts(texts))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Texts::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Texts, E> {
        Ok(Texts::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Texts, E> {
        Ok(Texts::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Texts, E> {
        Ok(Texts::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Texts, E> {
        Ok(Texts::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Texts, E> {
        Ok(Texts::default())
    }

    fn visit_unit<E>(self) -> Result<Texts, E> {
        Ok(Texts::default())
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyTexts)
    }
}

/// As much of a text as could ever be shown of it: so many characters, and one more that says that it was longer.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    text.trim().chars().take(most.saturating_add(1)).collect()
}

/// A description of paragraphs and lines with names.
#[derive(Debug, Default)]
pub(crate) struct Paragraphs(String);

impl Paragraphs {
    /// A paragraph by itself.
    pub(crate) fn paragraph(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push_str("\n\n");
        }
        self.0.push_str(text);
    }

    /// A paragraph of lines, each with a name.
    pub(crate) fn lines<'a>(&mut self, lines: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let line = |(name, text): (&str, &str)| format!("{name}: {}", text.trim());
        let said = lines.into_iter().filter(|(_, text)| !text.trim().is_empty());
        self.paragraph(&said.map(line).collect::<Vec<_>>().join("\n"));
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}
