import { describe, expect, it } from 'vitest';
import { usableStore } from './credentials';
import { Confirmed, namedGateway, naming, ownGateway } from './place';

const BASE = 'http://127.0.0.1:18789/claw/';
const named = (text: string) => namedGateway(`?gatewayUrl=${encodeURIComponent(text)}`, BASE);

describe('namedGateway', () => {
  it('takes the address of a socket, with a path', () => {
    expect(named('ws://other:1/')).toEqual({ url: 'ws://other:1/', host: 'other:1', suffix: '@ws://other:1/' });
    expect(named('wss://Other.Example/claw')?.url).toBe('wss://other.example/claw/');
  });

  it('takes nothing that is no socket, or holds a secret', () => {
    for (const text of ['', 'other:1', 'http://other/', 'javascript:alert(1)', 'ws://me:secret@other/', 'ws://other/?token=x', 'ws://other/#token=x']) {
      expect(named(text), text).toBeNull();
    }
    expect(namedGateway('?gatewayURL=ws://other/&url=ws://other/', BASE)).toBeNull();
  });

  it('knows the page’s own gateway by any way of writing it', () => {
    expect(named('ws://127.0.0.1:18789/claw')).toBeNull();
    expect(named('ws://127.0.0.1:18789/')).not.toBeNull();
    expect(ownGateway(BASE).url).toBe('ws://127.0.0.1:18789/claw/');
  });
});

it('goes on naming the gateway, and nothing else', () => {
  expect(naming('?a=1&gatewayUrl=ws%3A%2F%2Fother%2F&token=x')).toBe('?gatewayUrl=ws%3A%2F%2Fother%2F');
  expect(naming('?a=1')).toBe('');
});

it('remembers who was agreed to, and no more than twenty', () => {
  const store = usableStore(() => {
    throw new Error('switched off');
  });
  const confirmed = new Confirmed(store);
  const place = (port: number) => namedGateway(`?gatewayUrl=ws://other:${port}/`, BASE)!;
  expect(confirmed.has(place(1))).toBe(false);
  for (let port = 1; port <= 21; port += 1) confirmed.add(place(port));
  expect(confirmed.has(place(1))).toBe(false);
  expect(new Confirmed(store).has(place(21))).toBe(true);
  store.setItem('openclaw.gateways', '{"broken"');
  expect(new Confirmed(store).has(place(21))).toBe(false);
});

it('finds the gateway that served the page, whatever else its address says', () => {
  expect(ownGateway('http://127.0.0.1:18789/')).toEqual({ url: 'ws://127.0.0.1:18789/', host: '127.0.0.1:18789', suffix: '' });
  expect(ownGateway('https://host.example/gate/index.html?gatewayUrl=ws://evil#x').url).toBe('wss://host.example/gate/');
});
