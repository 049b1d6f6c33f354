/** A gateway for tests: records what is sent, answers what it is told to. Never part of the page. */
import type { Socket } from './client';
import type { Json } from './frames';

export class FakeSocket implements Socket {
  readyState: Socket['readyState'] = 1;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  sent: Json[] = [];
  closedWith: number | null = null;

  send(text: unknown): void {
    this.sent.push(JSON.parse(String(text)) as Json);
  }

  close(code?: number): void {
    this.closedWith = code ?? 1005;
  }

  receive(frame: Json): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  lose(code = 1006): void {
    this.onclose?.({ code, reason: '' });
  }

  all(method: string): Json[] {
    return this.sent.filter((frame) => frame['method'] === method);
  }

  /** The last request with this method. */
  request(method: string): Json {
    const frame = this.all(method).at(-1);
    if (!frame) throw new Error(`no ${method} was sent`);
    return frame;
  }

  params(method: string): Json {
    return this.request(method)['params'] as Json;
  }

  answer(method: string, payload: unknown): void {
    this.receive({ type: 'res', id: this.request(method)['id'], ok: true, payload });
  }

  refuse(method: string, error: Json): void {
    this.receive({ type: 'res', id: this.request(method)['id'], ok: false, error });
  }

  challenge(): void {
    this.receive({ type: 'event', event: 'connect.challenge', payload: { nonce: 'n', ts: 5 } });
  }
}
