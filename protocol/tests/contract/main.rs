//! The contract as files: golden frames, the generated schema, and properties of both.

mod catalogue;
mod fixtures;
mod instances;
mod properties;
mod release;
mod schema_file;
