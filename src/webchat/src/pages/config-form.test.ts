import { expect, it } from 'vitest';
import { patchOf, readField, sectionsOf, shown, titled, valueAt, type Field } from './config-form';

const SCHEMA = {
  properties: {
    gateway: { $ref: '#/$defs/Gateway' },
    session: { type: 'object', properties: { mode: { oneOf: [{ const: 'one' }, { const: 'two' }] } } },
    empty: { type: 'object', properties: {} },
  },
  $defs: {
    Gateway: {
      type: 'object',
      properties: {
        port: { type: 'integer', minimum: 0, maximum: 65_535, default: 18_789, description: 'TCP port.' },
        token: { anyOf: [{ type: 'string' }, { type: 'null' }] },
        tls: { $ref: '#/$defs/Tls' },
        proxies: { type: 'array', items: { type: 'string' } },
        providers: { type: 'object', additionalProperties: { type: 'object' } },
      },
    },
    Tls: { type: 'object', properties: { enabled: { type: ['boolean', 'null'] } } },
  },
};
const HINTS = { session: { label: 'Sessions', order: 1 }, gateway: { order: 2 }, 'gateway.token': { sensitive: true, help: 'The secret.' } };

const sections = sectionsOf(SCHEMA, HINTS);
const field = (name: string): Field => sections.flatMap((section) => section.fields).find((each) => each.name === name)!;

it('makes a field of every value, with its kind, bounds and words', () => {
  expect(sections.map((section) => section.label)).toEqual(['Sessions', 'Empty', 'Gateway'].filter((name) => name !== 'Empty').concat(['Empty']));
  expect(sections.flatMap((section) => section.fields.map((each) => `${each.name}:${each.kind}`))).toEqual([
    'session.mode:choice',
    'gateway.port:number',
    'gateway.token:secret',
    'gateway.tls.enabled:boolean',
    'gateway.proxies:list',
    'gateway.providers:json',
    'empty:json',
  ]);
  expect(field('gateway.port')).toMatchObject({ help: 'TCP port.', max: 65_535, fallback: 18_789, whole: true });
  expect(field('session.mode').options).toEqual(['one', 'two']);
  expect(titled('maxPayload')).toBe('Max payload');
});

it('reads what was typed, and says what cannot be', () => {
  expect(readField(field('gateway.port'), '8080')).toEqual({ ok: true, value: 8080 });
  expect(readField(field('gateway.port'), '80a')).toEqual({ ok: false, problem: 'number' });
  expect(readField(field('gateway.port'), '70000')).toEqual({ ok: false, problem: 'range' });
  expect(readField(field('gateway.port'), ' ')).toEqual({ ok: true, value: null });
  expect(readField(field('gateway.proxies'), ' a \n\nb')).toEqual({ ok: true, value: ['a', 'b'] });
  expect(readField(field('gateway.providers'), '{')).toEqual({ ok: false, problem: 'json' });
});

it('never shows a secret, and puts changes where they belong', () => {
  expect(shown(field('gateway.token'), '__OPENCLAW_REDACTED__')).toBe('');
  expect(valueAt({ gateway: { port: 1 } }, ['gateway', 'port'])).toBe(1);
  const changes = new Map<Field, unknown>([
    [field('gateway.port'), 8080],
    [field('gateway.tls.enabled'), null],
  ]);
  expect(patchOf(changes)).toEqual({ gateway: { port: 8080, tls: { enabled: null } } });
});
