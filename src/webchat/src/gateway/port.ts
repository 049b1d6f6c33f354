import type { GatewayError } from './client';
import type { HelloOk, Json } from './frames';

/** What pages get of the one connection: questions, events, and what may be asked at all. */
export interface GatewayPort {
  /** `null` while there is no connection. */
  readonly hello: HelloOk | null;
  /** Whether the gateway has this method. */
  has(method: string): boolean;
  /** Whether this browser holds the scope, such as `operator.admin`. */
  may(scope: string): boolean;
  /** Rejects with {@link GatewayError}. */
  request(method: string, params: Json): Promise<unknown>;
  /** Every event of the connection, and `online` whenever there is a new one. Returns how to stop. */
  listen(listener: (event: string, payload: Json) => void): () => void;
}

export type { GatewayError };
