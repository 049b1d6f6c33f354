/** A job as a person fills it in, and the way from and to what the gateway keeps. */
import { asNumber, asObject, asText, type Json } from '../gateway/frames';

export const KINDS = ['daily', 'every', 'once', 'cron'] as const;
export type Kind = (typeof KINDS)[number];

/** Days of `daily`, as cron writes them. */
export const DAYS = ['*', '1-5', '0,6', '1', '2', '3', '4', '5', '6', '0'] as const;

export const UNITS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
export type Unit = keyof typeof UNITS;

export interface Draft {
  name: string;
  /** What the agent is told. */
  text: string;
  /** `isolated`, `main`, or `session:` and a key. */
  target: string;
  kind: Kind;
  /** `daily`: `HH:MM`. */
  time: string;
  /** `daily`: one of {@link DAYS}. */
  days: string;
  /** `every` */
  amount: string;
  unit: Unit;
  /** `once`: local, as `<input type=datetime-local>` has it. */
  at: string;
  /** `cron` */
  expr: string;
  zone: string;
  /** Where the answer goes: it stays, the main conversation, or a channel. */
  answer: 'stays' | 'main' | 'channel';
  channel: string;
  to: string;
}

export type Field = 'name' | 'text' | 'time' | 'amount' | 'at' | 'expr' | 'channel';

/** This browser's time zone. */
export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

export function emptyDraft(): Draft {
  return {
    name: '',
    text: '',
    target: 'isolated',
    kind: 'daily',
    time: '09:00',
    days: '*',
    amount: '1',
    unit: 'hour',
    at: '',
    expr: '0 9 * * 1-5',
    zone: ownZone(),
    answer: 'main',
    channel: '',
    to: '',
  };
}

const DAILY = /^(\d{1,2}) (\d{1,2}) \* \* (\S+)$/;

/** The job as the form shows it. */
export function draftOf(job: Json): Draft {
  const payload = asObject(job['payload']);
  const delivery = asObject(job['delivery']);
  const channel = asText(delivery['channel']) ?? '';
  const announces = delivery['mode'] === 'announce';
  return {
    ...emptyDraft(),
    ...whenOf(asObject(job['schedule'])),
    name: asText(job['name']) ?? '',
    text: asText(payload['message']) ?? asText(payload['text']) ?? '',
    target: asText(job['sessionTarget']) ?? 'isolated',
    answer: !announces ? 'stays' : channel === '' || channel === 'last' ? 'main' : 'channel',
    channel: channel === 'last' ? '' : channel,
    to: asText(delivery['to']) ?? '',
  };
}

function whenOf(schedule: Json): Partial<Draft> {
  const zone = asText(schedule['tz']) ?? ownZone();
  if (schedule['kind'] === 'every') {
    const ms = asNumber(schedule['everyMs']) ?? UNITS.hour;
    const unit = (['day', 'hour'] as const).find((name) => ms % UNITS[name] === 0) ?? 'minute';
    return { kind: 'every', amount: String(ms / UNITS[unit]), unit };
  }
  if (schedule['kind'] === 'at') {
    const at = Date.parse(asText(schedule['at']) ?? '');
    return { kind: 'once', at: Number.isNaN(at) ? '' : localTime(at) };
  }
  const expr = asText(schedule['expr']) ?? '';
  const [, minute, hour, days] = DAILY.exec(expr) ?? [];
  if (minute === undefined || hour === undefined || !(DAYS as readonly string[]).includes(days ?? '')) return { kind: 'cron', expr, zone };
  return { kind: 'daily', expr, zone, time: `${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`, days: days! };
}

/** A point of time as `<input type=datetime-local>` takes it. */
export function localTime(at: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** What the gateway is told of a draft: all that makes a job, or which field is wrong. */
export function jobOf(draft: Draft): { job: Json } | { wrong: Field } {
  if (draft.name.trim() === '') return { wrong: 'name' };
  if (draft.text.trim() === '') return { wrong: 'text' };
  const schedule = scheduleOf(draft);
  if (typeof schedule === 'string') return { wrong: schedule };
  const main = draft.target === 'main';
  if (!main && draft.answer === 'channel' && draft.channel.trim() === '') return { wrong: 'channel' };
  const payload = main ? { kind: 'systemEvent', text: draft.text.trim() } : { kind: 'agentTurn', message: draft.text.trim() };
  const delivery = main ? {} : { delivery: deliveryOf(draft) };
  return { job: { name: draft.name.trim(), schedule, sessionTarget: draft.target, wakeMode: 'now', payload, ...delivery } };
}

function scheduleOf(draft: Draft): Json | Field {
  switch (draft.kind) {
    case 'daily': {
      const [, hour, minute] = /^(\d{2}):(\d{2})/.exec(draft.time) ?? [];
      if (hour === undefined || minute === undefined) return 'time';
      return { kind: 'cron', expr: `${Number(minute)} ${Number(hour)} * * ${draft.days}`, tz: draft.zone };
    }
    case 'every': {
      const everyMs = Math.round(Number(draft.amount) * UNITS[draft.unit]);
      return Number.isFinite(everyMs) && everyMs > 0 ? { kind: 'every', everyMs } : 'amount';
    }
    case 'once': {
      const at = new Date(draft.at);
      return Number.isNaN(at.getTime()) ? 'at' : { kind: 'at', at: at.toISOString() };
    }
    case 'cron':
      return draft.expr.trim() === '' ? 'expr' : { kind: 'cron', expr: draft.expr.trim(), tz: draft.zone };
  }
}

function deliveryOf(draft: Draft): Json {
  if (draft.answer === 'stays') return { mode: 'none' };
  if (draft.answer === 'main') return { mode: 'announce', channel: 'last' };
  const to = draft.to.trim();
  return { mode: 'announce', channel: draft.channel.trim(), ...(to === '' ? {} : { to }) };
}
