/** Models that can be chosen, and commands that can be typed. */
import { asList, asObject, asText, type Json } from '../gateway/frames';

export interface ModelChoice {
  /** `provider/id`, as it is configured. */
  ref: string;
  name: string;
  provider: string;
  available: boolean;
  pictures: boolean;
}

export interface Command {
  /** What is typed, with its slash. */
  text: string;
  description: string;
  acceptsArgs: boolean;
}

export function readModels(list: unknown): ModelChoice[] {
  return asList(list).map(asObject).flatMap((row): ModelChoice[] => {
    const id = asText(row['id']);
    const provider = asText(row['provider']);
    if (id === null || provider === null) return [];
    return [{
      ref: `${provider}/${id}`,
      name: asText(row['name']) ?? id,
      provider,
      available: row['available'] !== false,
      pictures: asList(row['input']).includes('image'),
    }];
  });
}

export function readCommands(list: unknown): Command[] {
  return asList(list).map(asObject).flatMap((row): Command[] => {
    const text = commandText(row);
    return text === null ? [] : [{ text, description: asText(row['description']) ?? '', acceptsArgs: row['acceptsArgs'] === true }];
  });
}

function commandText(row: Json): string | null {
  const alias = asList(row['textAliases']).find((text): text is string => typeof text === 'string' && text.startsWith('/'));
  const name = asText(row['name']);
  return alias ?? (name === null ? null : `/${name}`);
}

/** The commands that what has been typed may become; none once an argument is being written. */
export function matching(commands: readonly Command[], typed: string): Command[] {
  if (!/^\/\S*$/.test(typed)) return [];
  const wanted = typed.toLowerCase();
  return commands.filter((command) => command.text.toLowerCase().startsWith(wanted));
}
