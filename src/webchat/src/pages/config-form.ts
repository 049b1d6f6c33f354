/** Turns the configuration's JSON Schema into fields, and what was changed in them into a merge patch. */
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';

export type FieldKind = 'text' | 'secret' | 'number' | 'boolean' | 'choice' | 'list' | 'json';

export interface Field {
  path: readonly string[];
  /** The path with dots. */
  name: string;
  kind: FieldKind;
  label: string;
  help: string;
  options: readonly string[];
  min: number | null;
  max: number | null;
  whole: boolean;
  /** What holds where nothing is configured. */
  fallback: unknown;
}

export interface Section {
  name: string;
  label: string;
  help: string;
  order: number;
  fields: readonly Field[];
}

const DEEPEST = 6;
export const REDACTED = '__OPENCLAW_REDACTED__';

export function sectionsOf(schema: Json, hints: Json): Section[] {
  const top = Object.entries(asObject(schema['properties']));
  return top
    .map(([name, part]): Section => {
      const hint = asObject(hints[name]);
      const whole = resolve(asObject(part), schema);
      return {
        name,
        label: asText(hint['label']) ?? titled(name),
        help: asText(hint['help']) ?? asText(whole['description']) ?? '',
        order: asNumber(hint['order']) ?? Number.MAX_SAFE_INTEGER,
        fields: fieldsOf(asObject(part), [name], schema, hints),
      };
    })
    .filter((section) => section.fields.length > 0)
    .sort((one, other) => one.order - other.order || one.label.localeCompare(other.label));
}

function fieldsOf(part: Json, path: readonly string[], root: Json, hints: Json): Field[] {
  const schema = resolve(part, root);
  const properties = Object.entries(asObject(schema['properties']));
  if (properties.length > 0 && path.length < DEEPEST) return properties.flatMap(([name, inner]) => fieldsOf(asObject(inner), [...path, name], root, hints));
  const hint = hintOf(path, hints);
  const options = optionsOf(schema);
  const type = typeOf(schema);
  const sensitive = hint['sensitive'] === true;
  const listed = resolve(asObject(schema['items']), root);
  const kind: FieldKind =
    options.length > 0
      ? 'choice'
      : type === 'boolean'
        ? 'boolean'
        : type === 'integer' || type === 'number'
          ? 'number'
          : sensitive
            ? 'secret'
            : type === 'string'
              ? 'text'
              : type === 'array' && typeOf(listed) === 'string' && optionsOf(listed).length === 0
                ? 'list'
                : 'json';
  return [
    {
      path,
      name: path.join('.'),
      kind,
      label: asText(hint['label']) ?? titled(path.at(-1) ?? ''),
      help: asText(hint['help']) ?? asText(part['description']) ?? asText(schema['description']) ?? '',
      options,
      min: asNumber(schema['minimum']),
      max: asNumber(schema['maximum']),
      whole: type === 'integer',
      fallback: part['default'] ?? schema['default'],
    },
  ];
}

/** Follows a reference, and takes the one form of an optional value that is not null. */
function resolve(part: Json, root: Json, left = 8): Json {
  if (left === 0) return part;
  const reference = asText(part['$ref']);
  if (reference !== null) {
    const found = reference.replace(/^#\//, '').split('/').reduce<unknown>((value, name) => asObject(value)[name], root);
    return resolve({ ...asObject(found), ...omit(part, '$ref') }, root, left - 1);
  }
  const all = asList(part['allOf']);
  if (all.length === 1) return resolve({ ...asObject(all[0]), ...omit(part, 'allOf') }, root, left - 1);
  const forms = asList(part['anyOf']).map(asObject).filter((form) => form['type'] !== 'null');
  if (forms.length === 1) return resolve({ ...forms[0], ...omit(part, 'anyOf') }, root, left - 1);
  return part;
}

function omit(part: Json, name: string): Json {
  const { [name]: _, ...rest } = part;
  return rest;
}

function typeOf(schema: Json): string | null {
  const { type } = schema;
  if (Array.isArray(type)) return asText(type.find((name) => name !== 'null'));
  return asText(type);
}

function optionsOf(schema: Json): string[] {
  const listed = asList(schema['enum']).filter((value): value is string => typeof value === 'string');
  if (listed.length > 0) return listed;
  const forms = asList(schema['oneOf']).map(asObject);
  const named = forms.flatMap((form) => (typeof form['const'] === 'string' ? [form['const']] : asList(form['enum']).filter((value): value is string => typeof value === 'string')));
  return forms.length > 0 && named.length >= forms.length ? named : [];
}

function hintOf(path: readonly string[], hints: Json): Json {
  return asObject(hints[path.join('.')]);
}

/** `maxPayload` becomes `Max payload`. */
export function titled(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function valueAt(config: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, name) => asObject(value)[name], config);
}

/** A field's value as it stands in an input. */
export function shown(field: Field, value: unknown): string {
  if (value === undefined || value === null || value === REDACTED) return '';
  if (field.kind === 'list') return asList(value).join('\n');
  return field.kind === 'json' || typeof value === 'object' ? JSON.stringify(value, null, 2) : String(value);
}

export type Read = { ok: true; value: unknown } | { ok: false; problem: 'number' | 'range' | 'json' };

/** What was typed as a value; empty takes the setting out of the file. */
export function readField(field: Field, text: string): Read {
  const trimmed = text.trim();
  if (trimmed === '') return { ok: true, value: null };
  switch (field.kind) {
    case 'boolean':
      return { ok: true, value: trimmed === 'true' };
    case 'number': {
      const value = Number(trimmed);
      if (!Number.isFinite(value) || (field.whole && !Number.isInteger(value))) return { ok: false, problem: 'number' };
      const inside = value >= (field.min ?? value) && value <= (field.max ?? value);
      return inside ? { ok: true, value } : { ok: false, problem: 'range' };
    }
    case 'list':
      return { ok: true, value: text.split('\n').map((line) => line.trim()).filter((line) => line !== '') };
    case 'json':
      try {
        return { ok: true, value: JSON.parse(trimmed) as unknown };
      } catch {
        return { ok: false, problem: 'json' };
      }
    default:
      return { ok: true, value: trimmed };
  }
}

/** The changes as one nested object, as `config.patch` takes it. */
export function patchOf(changes: ReadonlyMap<Field, unknown>): Json {
  const patch: Json = {};
  for (const [field, value] of changes) {
    let place = patch;
    for (const name of field.path.slice(0, -1)) place = (place[name] ??= {}) as Json;
    place[field.path.at(-1)!] = value;
  }
  return patch;
}

/** Fields of which the name, the label or the help holds the text. */
export function found(field: Field, text: string): boolean {
  const wanted = text.toLowerCase();
  return [field.name, field.label, field.help].some((place) => place.toLowerCase().includes(wanted));
}
