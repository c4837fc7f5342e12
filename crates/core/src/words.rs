//! Enumerations whose values are words in requests and replies: one declaration gives type, values, and both directions.

/// Declares an enumeration with a word for each value. Behind its name stand what it is called, and the problem of any other
/// word.
///
/// It gives `ALL` and `WORDS` in the order of the declaration, `as_str`, `Display`, and a `FromStr` that takes exactly these words.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident, $noun:literal, $problem:literal {
            $($(#[$value_doc:meta])* $value:ident = $word:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$value_doc])* $value,)*
        }

        impl $name {
            /// All values, in the order of the declaration.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$value),*];

            /// The words of all values, in the order of the declaration.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word for the value in requests and replies.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::validation::Problem;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.into_iter().find(|value| value.as_str() == text);
                found.ok_or_else(|| $crate::validation::Problem::new($noun, $problem))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;
