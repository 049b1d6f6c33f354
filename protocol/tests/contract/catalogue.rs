//! Methods with their types erased, for tests that walk over all of them.

use openclaw_protocol::connect::{ConnectParams, HelloOk};
use openclaw_protocol::method::Method;
use openclaw_protocol::methods::{self, Visitor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decodes a value into a type and encodes it again.
pub(crate) type Recode = fn(&Value) -> Result<Value, String>;

/// One method.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) effect: bool,
    pub(crate) params: Recode,
    pub(crate) result: Recode,
}

/// Every method.
pub(crate) fn entries() -> Vec<Entry> {
    struct Collect(Vec<Entry>);
    impl Visitor for Collect {
        fn method<M>(&mut self)
        where
            M: Method<Params: Serialize, Result: DeserializeOwned>,
        {
            self.0.push(Entry {
                name: M::NAME,
                effect: M::EFFECT,
                params: recode::<M::Params>,
                result: recode::<M::Result>,
            });
        }
    }
    let mut collect = Collect(Vec::new());
    methods::visit(&mut collect);
    collect.0
}

/// The handshake, in the form of a method.
pub(crate) fn connect() -> Entry {
    Entry {
        name: "connect",
        effect: false,
        params: recode::<ConnectParams>,
        result: recode::<HelloOk>,
    }
}

fn recode<T: Serialize + DeserializeOwned>(value: &Value) -> Result<Value, String> {
    let decoded = T::deserialize(value).map_err(|error| error.to_string())?;
    serde_json::to_value(&decoded).map_err(|error| error.to_string())
}
