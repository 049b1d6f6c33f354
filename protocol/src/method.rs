//! One type per method: its name, who may call it, what it takes and gives.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::scope::{Scope, Scopes};
use crate::{ErrorShape, Role};

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Every authenticated connection, nodes included.
    Open,
    /// Every operator with a connection, also one without any scope.
    AnyOperator,
    /// Operators with this scope.
    Operator(Scope),
    /// Nodes only.
    Node,
}

impl Access {
    /// Checks the role first, then the scope.
    ///
    /// # Errors
    ///
    /// `INVALID_REQUEST` for the wrong role, `FORBIDDEN` for a missing scope.
    pub fn check(self, role: Role, scopes: Scopes) -> Result<(), ErrorShape> {
        match (self, role) {
            (Self::Open, _) | (Self::Node, Role::Node) | (Self::AnyOperator, Role::Operator) => {
                Ok(())
            }
            (Self::Operator(scope), Role::Operator) if scopes.grants(scope) => Ok(()),
            (Self::Operator(scope), Role::Operator) => Err(ErrorShape::missing_scope(scope)),
            (Self::Operator(_) | Self::AnyOperator, Role::Node) | (Self::Node, Role::Operator) => {
                Err(ErrorShape::invalid(format!(
                    "unauthorized role: {}",
                    role.as_str()
                )))
            }
        }
    }
}

/// A method of the protocol. `EFFECT` methods change state: their parameters are closed, and
/// their replies are ordered with the events that they cause.
pub trait Method: 'static {
    /// Wire name.
    const NAME: &'static str;
    /// Who may call it.
    const ACCESS: Access;
    /// Whether it changes anything.
    const EFFECT: bool;
    /// What it does, for the reference.
    const DOC: &'static str;
    /// What it takes.
    type Params: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it gives.
    type Result: Serialize + JsonSchema + Send + 'static;
}

/// A method as a row of the table of all methods.
#[derive(Debug, Clone, Copy)]
pub struct MethodSpec {
    /// Wire name.
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Whether it changes anything.
    pub effect: bool,
    /// Schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
}

impl MethodSpec {
    /// The row of `M`.
    pub const fn of<M: Method>() -> Self {
        Self {
            name: M::NAME,
            access: M::ACCESS,
            effect: M::EFFECT,
            params: |generator| generator.subschema_for::<M::Params>(),
        }
    }
}

/// What only the published contract says of a method. It is a table of its own, so that a daemon,
/// which checks params and no results, does not carry it.
#[derive(Debug, Clone, Copy)]
pub struct MethodContract {
    /// Wire name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Schema of its result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

impl MethodContract {
    /// The row of `M`.
    pub const fn of<M: Method>() -> Self {
        Self {
            name: M::NAME,
            doc: M::DOC,
            result: |generator| generator.subschema_for::<M::Result>(),
        }
    }
}

/// Declares methods: `Type => "name", access, effect|read, Params -> Result;`.
#[macro_export]
macro_rules! methods {
    ($($(#[doc = $doc:literal])* $name:ident => $wire:literal, $access:expr, $kind:ident, $params:ty => $result:ty;)+) => {
        $(
            $(#[doc = $doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $crate::method::Method for $name {
                const NAME: &'static str = $wire;
                const ACCESS: $crate::method::Access = $access;
                const EFFECT: bool = $crate::methods!(@effect $kind);
                const DOC: &'static str = concat!($($doc),*);
                type Params = $params;
                type Result = $result;
            }
        )+
    };
    (@effect effect) => { true };
    (@effect read) => { false };
}
