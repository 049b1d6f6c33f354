//! Scopes: what an operator connection may do, as a small set.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// One scope.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope { $($(#[$doc])* $name),+ }

        impl Scope {
            /// Every scope, in the order of their bits.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The wire name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Parses a wire name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

scopes! {
    /// Everything an operator can do.
    Admin = "operator.admin",
    /// Read state and receive events.
    Read = "operator.read",
    /// Send messages and start runs; covers read.
    Write = "operator.write",
    /// Approve devices and nodes.
    Pairing = "operator.pairing",
    /// Decide exec approvals.
    Approvals = "operator.approvals",
    /// Answer questions of an agent.
    Questions = "operator.questions",
    /// Voice.
    Talk = "operator.talk",
    /// Voice provider secrets.
    TalkSecrets = "operator.talk.secrets",
    /// Read sessions only.
    SessionsRead = "operator.sessions.read",
    /// Write sessions only.
    SessionsWrite = "operator.sessions.write",
}

impl Scope {
    const fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// A set of scopes. On the wire it is a list of names; unknown names grant nothing and are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Scopes(u16);

impl Scopes {
    /// No scope.
    pub const NONE: Self = Self(0);

    /// The set of the given scopes.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    /// The known scopes among `names`.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Self {
        Self(
            names
                .iter()
                .filter_map(|name| Scope::parse(name.as_ref()))
                .fold(0, |bits, scope| bits | scope.bit()),
        )
    }

    /// Whether the set grants `scope`: admin grants all; write grants read, talk and both session
    /// scopes; read and session writing grant session reading.
    pub const fn grants(self, scope: Scope) -> bool {
        let covers: u16 = match scope {
            Scope::Read | Scope::Talk | Scope::SessionsWrite => Scope::Write.bit(),
            Scope::SessionsRead => {
                Scope::Write.bit() | Scope::Read.bit() | Scope::SessionsWrite.bit()
            }
            Scope::Admin
            | Scope::Write
            | Scope::Pairing
            | Scope::Approvals
            | Scope::Questions
            | Scope::TalkSecrets => 0,
        };
        self.0 & (scope.bit() | Scope::Admin.bit() | covers) != 0
    }

    /// Whether every scope of `wanted` is granted.
    pub fn covers(self, wanted: Self) -> bool {
        wanted.iter().all(|scope| self.grants(scope))
    }

    /// The scopes of `self` that `granted` does not grant.
    #[must_use]
    pub fn missing_from(self, granted: Self) -> Self {
        self.iter()
            .filter(|scope| !granted.grants(*scope))
            .fold(Self::NONE, Self::with)
    }

    /// The set with `scope` added.
    #[must_use]
    pub fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both sets grant.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Scope::ALL
            .iter()
            .copied()
            .filter(|scope| self.grants(*scope) && other.grants(*scope))
            .fold(Self::NONE, Self::with)
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(move |scope| self.0 & scope.bit() != 0)
    }

    /// The wire names.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Scope::as_str).collect()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&Vec::<String>::deserialize(deserializer)?))
    }
}

impl schemars::JsonSchema for Scopes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scopes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "array", "items": { "type": "string", "minLength": 1 } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_covers_read_but_not_admin_and_admin_covers_all() {
        let write = Scopes::of(&[Scope::Write]);
        assert!(write.grants(Scope::Read) && write.grants(Scope::SessionsRead));
        assert!(!write.grants(Scope::Admin) && !write.grants(Scope::Pairing));
        let admin = Scopes::of(&[Scope::Admin]);
        assert!(Scope::ALL.iter().all(|scope| admin.grants(*scope)));
        assert!(!Scopes::of(&[Scope::Pairing]).grants(Scope::Read));
    }

    #[test]
    fn unknown_names_grant_nothing() {
        assert_eq!(
            Scopes::parse(&["operator.root", "operator.read"]),
            Scopes::of(&[Scope::Read])
        );
    }
}
