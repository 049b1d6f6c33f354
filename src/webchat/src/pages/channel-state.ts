/** What an account on a channel is doing, in one word and a colour. */
import { asText, type Json } from '../gateway/frames';

export type ChannelState = 'off' | 'unset' | 'connected' | 'connecting' | 'failing' | 'parked' | 'stopped';
export type Mood = '' | 'ok' | 'warn' | 'bad';

/** Connected is only what says so of itself; running is not yet connected. */
export function stateOf(account: Json): [ChannelState, Mood] {
  if (account['enabled'] === false) return ['off', ''];
  if (account['configured'] === false) return ['unset', 'warn'];
  switch (asText(account['state'])) {
    case 'parked':
      return ['parked', 'bad'];
    case 'backoff':
      return ['failing', 'bad'];
    case 'stopped':
      return ['stopped', ''];
    default:
  }
  if (account['connected'] === true && account['healthState'] !== 'unhealthy') return ['connected', 'ok'];
  if (account['lastError'] || account['error'] || account['healthState'] === 'unhealthy') return ['failing', 'bad'];
  return account['running'] === true ? ['connecting', 'warn'] : ['stopped', ''];
}
