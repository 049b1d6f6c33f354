//! Objects: a struct, its initialiser, and coding by hand where the compiler's would lose something.

use std::fmt::Write as _;

use super::{comment, may_be_null, property, type_name};
use crate::model::{Field, Model};
use crate::names::is_plain;

/// The property that holds the keys without a name.
const ADDITIONAL: &str = "additional";

pub(super) fn record(out: &mut String, model: &Model, name: &str, fields: &[Field], open: bool) {
    let _ = writeln!(out, "public struct {name}: Codable, Hashable, Sendable {{");
    properties(out, fields);
    if open {
        let _ = writeln!(
            out,
            "    /// Keys that have no name here, as they came.\n    public var {ADDITIONAL}: [String: JSONValue]"
        );
    }
    let extra = open.then(|| (ADDITIONAL, "[String: JSONValue] = [:]".to_owned()));
    initialiser(out, fields, extra.as_ref());
    let by_hand = open || fields.iter().any(may_be_null);
    if by_hand || fields.iter().any(|field| !is_plain(&field.key)) {
        keys(out, fields);
    }
    if by_hand {
        decoder(out, fields, |out| {
            if open {
                let known = fields.iter().map(|field| field.key.as_str());
                let known: Vec<String> = known
                    .chain(model.tags_of(name))
                    .map(|key| format!("{key:?}"))
                    .collect();
                let _ = writeln!(
                    out,
                    "        self.{ADDITIONAL} = try JSONValue.additional(in: decoder, besides: [{}])",
                    known.join(", ")
                );
            }
        });
        encoder(out, fields, |out| {
            if open {
                let _ = writeln!(
                    out,
                    "        try JSONValue.encode({ADDITIONAL}, to: encoder)"
                );
            }
        });
    }
    out.push_str("}\n");
}

/// An object of which some keys depend on the tag: these are one property, an enum.
pub(super) fn shared(out: &mut String, name: &str, fields: &[Field], (tag, rest): (&str, &str)) {
    let property = property(tag);
    let _ = writeln!(out, "public struct {name}: Codable, Hashable, Sendable {{");
    properties(out, fields);
    let _ = writeln!(
        out,
        "    /// Which kind it is, with what such a one holds.\n    public var {property}: {rest}"
    );
    initialiser(out, fields, Some(&(property.as_str(), rest.to_owned())));
    keys(out, fields);
    decoder(out, fields, |out| {
        let _ = writeln!(out, "        self.{property} = try {rest}(from: decoder)");
    });
    encoder(out, fields, |out| {
        let _ = writeln!(out, "        try {property}.encode(to: encoder)");
    });
    out.push_str("}\n");
}

fn properties(out: &mut String, fields: &[Field]) {
    for field in fields {
        comment(out, "    ", &field.doc);
        let _ = writeln!(
            out,
            "    public var {}: {}",
            property(&field.key),
            optional(field)
        );
    }
}

fn optional(field: &Field) -> String {
    let mark = if field.required { "" } else { "?" };
    format!("{}{mark}", type_name(&field.of))
}

fn initialiser(out: &mut String, fields: &[Field], extra: Option<&(&str, String)>) {
    let mut arguments: Vec<String> = Vec::new();
    for field in fields.iter().filter(|field| field.required) {
        arguments.push(format!("{}: {}", property(&field.key), optional(field)));
    }
    // The one that says which kind it is comes before what may be left out.
    let (before, after): (Vec<_>, Vec<_>) =
        extra.into_iter().partition(|(_, of)| !of.contains('='));
    arguments.extend(before.iter().map(|(name, of)| format!("{name}: {of}")));
    for field in fields.iter().filter(|field| !field.required) {
        arguments.push(format!(
            "{}: {} = nil",
            property(&field.key),
            optional(field)
        ));
    }
    arguments.extend(after.iter().map(|(name, of)| format!("{name}: {of}")));
    if arguments.is_empty() {
        out.push_str("    public init() {}\n");
        return;
    }
    let _ = writeln!(
        out,
        "\n    public init(\n        {}\n    ) {{",
        arguments.join(",\n        ")
    );
    let names = fields
        .iter()
        .map(|field| property(&field.key))
        .chain(extra.map(|(name, _)| (*name).to_owned()));
    for name in names {
        let _ = writeln!(out, "        self.{name} = {name}");
    }
    out.push_str("    }\n");
}

fn keys(out: &mut String, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    out.push_str("\n    private enum CodingKeys: String, CodingKey {\n");
    for field in fields {
        let _ = writeln!(
            out,
            "        case {} = {:?}",
            property(&field.key),
            field.key
        );
    }
    out.push_str("    }\n");
}

fn decoder(out: &mut String, fields: &[Field], rest: impl FnOnce(&mut String)) {
    out.push_str("\n    public init(from decoder: any Decoder) throws {\n");
    if !fields.is_empty() {
        out.push_str("        let values = try decoder.container(keyedBy: CodingKeys.self)\n");
    }
    for field in fields {
        let name = property(&field.key);
        let of = type_name(&field.of);
        let value = if field.required {
            format!("try values.decode({of}.self, forKey: .{name})")
        } else if may_be_null(field) {
            format!(
                "values.contains(.{name}) ? try values.decode({of}.self, forKey: .{name}) : nil"
            )
        } else {
            format!("try values.decodeIfPresent({of}.self, forKey: .{name})")
        };
        let _ = writeln!(out, "        self.{name} = {value}");
    }
    rest(out);
    out.push_str("    }\n");
}

fn encoder(out: &mut String, fields: &[Field], rest: impl FnOnce(&mut String)) {
    out.push_str("\n    public func encode(to encoder: any Encoder) throws {\n");
    if !fields.is_empty() {
        out.push_str("        var values = encoder.container(keyedBy: CodingKeys.self)\n");
    }
    for field in fields {
        let name = property(&field.key);
        let verb = if field.required {
            "encode"
        } else {
            "encodeIfPresent"
        };
        let _ = writeln!(out, "        try values.{verb}({name}, forKey: .{name})");
    }
    rest(out);
    out.push_str("    }\n");
}
