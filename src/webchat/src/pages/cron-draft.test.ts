import { expect, it } from 'vitest';
import { draftOf, emptyDraft, jobOf, localTime, type Draft } from './cron-draft';

const draft = (change: Partial<Draft>): Draft => ({ ...emptyDraft(), name: 'Tea', text: 'Is the tea ready?', zone: 'Europe/Zurich', ...change });
const job = (change: Partial<Draft>) => {
  const made = jobOf(draft(change));
  if ('wrong' in made) throw new Error(made.wrong);
  return made.job;
};

it('writes each kind of schedule as the gateway reads it', () => {
  expect(job({ kind: 'daily', time: '07:05', days: '1-5' })['schedule']).toEqual({ kind: 'cron', expr: '5 7 * * 1-5', tz: 'Europe/Zurich' });
  expect(job({ kind: 'every', amount: '90', unit: 'minute' })['schedule']).toEqual({ kind: 'every', everyMs: 5_400_000 });
  expect(job({ kind: 'once', at: '2030-01-02T03:04' })['schedule']).toEqual({ kind: 'at', at: new Date(2030, 0, 2, 3, 4).toISOString() });
  expect(job({ kind: 'cron', expr: ' */5 * * * * ' })['schedule']).toEqual({ kind: 'cron', expr: '*/5 * * * *', tz: 'Europe/Zurich' });
});

it('tells the main conversation a text, and any other a question whose answer may be sent on', () => {
  expect(job({ target: 'main' })).toMatchObject({ sessionTarget: 'main', payload: { kind: 'systemEvent', text: 'Is the tea ready?' } });
  expect(job({ target: 'main' })).not.toHaveProperty('delivery');
  expect(job({ answer: 'main' })['delivery']).toEqual({ mode: 'announce', channel: 'last' });
  expect(job({ answer: 'stays' })['delivery']).toEqual({ mode: 'none' });
  expect(job({ answer: 'channel', channel: 'telegram', to: '42' })['delivery']).toEqual({ mode: 'announce', channel: 'telegram', to: '42' });
});

it('names the field that is wrong', () => {
  const wrong = (change: Partial<Draft>) => jobOf(draft(change));
  expect(wrong({ name: ' ' })).toEqual({ wrong: 'name' });
  expect(wrong({ text: '' })).toEqual({ wrong: 'text' });
  expect(wrong({ kind: 'daily', time: '' })).toEqual({ wrong: 'time' });
  expect(wrong({ kind: 'every', amount: '-1' })).toEqual({ wrong: 'amount' });
  expect(wrong({ kind: 'once', at: '' })).toEqual({ wrong: 'at' });
  expect(wrong({ kind: 'cron', expr: '' })).toEqual({ wrong: 'expr' });
  expect(wrong({ answer: 'channel' })).toEqual({ wrong: 'channel' });
});

it('shows a job as it was filled in', () => {
  const drafts: Draft[] = [
    draft({ kind: 'daily', time: '07:05', days: '1-5' }),
    draft({ kind: 'every', amount: '3', unit: 'hour' }),
    draft({ kind: 'every', amount: '90', unit: 'minute' }),
    draft({ kind: 'once', at: localTime(Date.UTC(2030, 0, 2, 3, 4)), answer: 'stays' }),
    draft({ kind: 'cron', expr: '0 9 1 * *', target: 'session:agent:main:main' }),
    draft({ kind: 'cron', expr: '61 9 * * 8', answer: 'channel', channel: 'telegram', to: '42' }),
  ];
  for (const one of drafts) {
    const back = draftOf(job(one));
    expect(jobOf(back)).toEqual(jobOf(one));
    expect(back.kind).toBe(one.kind);
  }
  expect(draftOf(job({ target: 'main' })).text).toBe('Is the tea ready?');
});
