import { afterEach, describe, expect, it, vi } from 'vitest';
import { Artifacts } from './artifacts';

const answer = (mimeType: string, size: number) => ({ artifact: { title: 'a', mimeType, sizeBytes: size }, data: btoa('hello') });

describe('files of a conversation', () => {
  afterEach(() => vi.restoreAllMocks());

  it('are fetched once, and again after a failure', async () => {
    const download = vi.fn().mockRejectedValueOnce(new Error('gone')).mockResolvedValue(answer('image/png', 5));
    const artifacts = new Artifacts(download);
    await expect(artifacts.get('main', 'x')).rejects.toThrow('gone');
    const file = await artifacts.get('main', 'x');
    expect(await artifacts.get('main', 'x')).toBe(file);
    expect(download).toHaveBeenCalledTimes(2);
  });

  it('are let go when they become too large together, the newest never', async () => {
    const revoked = vi.spyOn(URL, 'revokeObjectURL');
    const artifacts = new Artifacts(() => Promise.resolve(answer('image/png', 60 * 1_048_576)));
    const first = await artifacts.get('main', 'x');
    await artifacts.get('main', 'y');
    await vi.waitFor(() => expect(revoked).toHaveBeenCalledExactlyOnceWith(first.url));
  });

  it('cannot run as pages of this origin', async () => {
    const made = vi.spyOn(URL, 'createObjectURL');
    const artifacts = new Artifacts((_, id) => Promise.resolve(answer(id, 5)));
    await artifacts.get('main', 'text/html');
    await artifacts.get('main', 'image/svg+xml');
    await artifacts.get('main', 'image/png');
    const types = made.mock.calls.map(([blob]) => (blob as Blob).type);
    expect(types).toEqual(['application/octet-stream', 'application/octet-stream', 'image/png']);
  });
});
