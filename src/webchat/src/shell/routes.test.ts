import { expect, it } from 'vitest';
import { addressOf, offeredPages, routeOf, type Route } from './routes';

const BASES = ['http://gateway/', 'https://host/claw/'];

it.each(BASES)('finds every page again under its address below %s', (base) => {
  const routes: Route[] = [
    { page: 'chat', session: 'main' },
    { page: 'chat', session: 'agent:main:web-1/2 ü' },
    { page: 'devices' },
    { page: 'sessions' },
  ];
  for (const route of routes) expect(routeOf(new URL(addressOf(route), base).pathname, base)).toEqual(route);
});

it('takes what it does not know for the main conversation', () => {
  for (const path of ['/nowhere', '/chat/', '/chat/%E0%A4%A', '/elsewhere/devices']) {
    expect(routeOf(path, 'http://gateway/')).toEqual({ page: 'chat', session: 'main' });
  }
});

it('offers only pages whose methods the gateway has', () => {
  expect(offeredPages((method) => ['health', 'logs.tail'].includes(method))).toEqual(['overview', 'logs']);
});
