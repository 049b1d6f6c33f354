/** What a device asks for, in words that say what it could do with it. */
import { asList, asText, type Json } from '../gateway/frames';
import { strings } from '../strings';

export function texts(value: unknown): string[] {
  return asList(value).filter((item): item is string => typeof item === 'string');
}

/** The owner's own name for it, else what it calls itself. */
export function nameOf(row: Json): string {
  const names = [row['operatorLabel'], row['label'], row['displayName'], row['clientId']].map(asText);
  const id = asText(row['deviceId']) ?? asText(row['nodeId']) ?? '';
  return names.find((name) => name !== null && name.trim() !== '') ?? `${id.slice(0, 12)}…`;
}

/** One sentence for each thing it could do; an administrator can do the rest as well. */
export function scopeWords(roles: readonly string[], scopes: readonly string[]): { text: string; risky: boolean }[] {
  const words = strings.devices.scopes;
  const said = scopes.includes('operator.admin') ? ['operator.admin'] : scopes;
  const list = said.map((scope) => ({ text: words[scope] ?? scope, risky: scope === 'operator.admin' || scope === 'operator.pairing' || scope === 'operator.approvals' }));
  return roles.includes('node') ? [...list, { text: strings.devices.nodeRole, risky: false }] : list;
}

const FAMILIES = /^(camera|screen|location|system|browser|fs|sms|contacts|photos|motion|microphone)\./;

/** Commands that see, hear, find or run something. */
export function sensitive(command: string): boolean {
  return FAMILIES.test(command);
}
