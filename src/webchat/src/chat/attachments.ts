/** Pictures and files that a person pastes, drops or chooses, as `chat.send` takes them. */

import type { Artifact } from './artifacts';

export interface Attachment {
  fileName: string;
  mimeType: string;
  /** Base64. */
  content: string;
  size: number;
  /** An address to show a picture under; `null` for other files. */
  preview: string | null;
}

/** Where the gateway names no limit. */
export const DEFAULT_MAX_BYTES = 5_000_000;
export const MAX_FILES = 8;

const PICTURES = /^image\/(png|jpeg|gif|webp)$/;

export type ReadFailure = { fileName: string; reason: 'size' | 'unreadable' };

/** Reads files; those that are too large or cannot be read are told apart. */
export async function readFiles(files: readonly File[], maxBytes: number): Promise<{ read: Attachment[]; failed: ReadFailure[] }> {
  const read: Attachment[] = [];
  const failed: ReadFailure[] = [];
  for (const file of files) {
    const fileName = file.name || 'pasted image.png';
    if (file.size > maxBytes) {
      failed.push({ fileName, reason: 'size' });
      continue;
    }
    try {
      const content = base64(new Uint8Array(await file.arrayBuffer()));
      const mimeType = file.type || 'application/octet-stream';
      const preview = PICTURES.test(mimeType) ? `data:${mimeType};base64,${content}` : null;
      read.push({ fileName, mimeType, content, size: file.size, preview });
    } catch {
      failed.push({ fileName, reason: 'unreadable' });
    }
  }
  return { read, failed };
}

function base64(bytes: Uint8Array): string {
  const step = 0x8000;
  let binary = '';
  for (let at = 0; at < bytes.length; at += step) binary += String.fromCharCode(...bytes.subarray(at, at + step));
  return btoa(binary);
}

/** A file that the gateway keeps, to be sent again. */
export function attachmentOf({ name, mimeType, content, size }: Artifact): Attachment {
  const preview = PICTURES.test(mimeType) ? `data:${mimeType};base64,${content}` : null;
  return { fileName: name, mimeType, content, size, preview };
}

/** The files of a paste or a drop. */
export function filesOf(data: DataTransfer | null): File[] {
  return data === null ? [] : [...data.files];
}

/** `attachments` of `chat.send`. */
export function onTheWire(attachments: readonly Attachment[]): object[] {
  return attachments.map(({ fileName, mimeType, content }) => ({
    type: mimeType.startsWith('image/') ? 'image' : 'file',
    mimeType,
    fileName,
    content,
  }));
}
