import { expect, it } from 'vitest';
import { examples, pictureIn } from './node-result';

it('takes a picture out of an answer, and leaves the facts', () => {
  const blobs: Blob[] = [];
  const found = pictureIn({ format: 'jpg', base64: btoa('bytes'), width: 2, height: 3 }, 'camera.snap', (blob) => `blob:${blobs.push(blob)}`);
  expect(found.media).toEqual({ url: 'blob:1', name: 'camera.snap.jpg', picture: true });
  expect(blobs[0]).toMatchObject({ type: 'image/jpeg', size: 5 });
  expect(JSON.parse(found.rest!)).toEqual({ format: 'jpg', width: 2, height: 3 });
});

it('lets what is no picture be saved, and nothing else be shown as one', () => {
  const found = (payload: unknown) => pictureIn(payload, 'x', () => 'blob:x');
  expect(found({ format: 'mp4', base64: 'AAAA' }).media).toEqual({ url: 'blob:x', name: 'x.mp4', picture: false });
  expect(found({ format: 'svg', base64: 'AAAA' }).media?.picture).toBe(false);
  expect(found({ format: '../evil', base64: 'AAAA' }).media?.name).toBe('x.bin');
  expect(found({ format: 'png', base64: '<script>' }).media).toBeNull();
  expect(found({ lat: 47 })).toEqual({ media: null, rest: '{\n  "lat": 47\n}' });
  expect(found(null).rest).toBe('null');
  expect(found('x'.repeat(30_000)).rest).toHaveLength(20_001);
});

it('begins with parameters that the command takes', () => {
  expect(JSON.parse(examples('camera.snap'))).toHaveProperty('facing');
  expect(examples('something.else')).toBe('{}');
});
