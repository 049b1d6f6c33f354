// A device identity as every client generation signs with it: Ed25519, id = sha256 of the raw public key.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";

export function newDevice() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  return {
    deviceId: createHash("sha256").update(raw).digest("hex"),
    publicKey: raw.toString("base64url"),
    publicKeyPem: publicKey.export({ format: "pem", type: "spki" }),
    privateKeyPem: privateKey.export({ format: "pem", type: "pkcs8" }),
  };
}

export const signPayload = (privateKeyPem, payload) =>
  sign(null, Buffer.from(payload, "utf8"), createPrivateKey(privateKeyPem)).toString("base64url");

export const rawPublicKey = (publicKeyPem) =>
  createPublicKey(publicKeyPem).export({ format: "der", type: "spki" }).subarray(-32).toString("base64url");

/**
 * The `device` object of connect params, signed.
 * @param {"v1"|"v2"|"v3"} version v1 has no nonce (v3-generation clients that saw no challenge)
 */
export function deviceProof(device, params, challenge, version = "v3") {
  const signedAt = version === "v1" ? Date.now() : challenge.ts;
  const fields = [
    version,
    device.deviceId,
    params.client.id,
    params.client.mode,
    params.role ?? "operator",
    (params.scopes ?? []).join(","),
    String(signedAt),
    params.auth?.token ?? params.auth?.deviceToken ?? params.auth?.bootstrapToken ?? "",
  ];
  if (version !== "v1") fields.push(challenge.nonce);
  if (version === "v3") fields.push(lower(params.client.platform), lower(params.client.deviceFamily));
  return {
    id: device.deviceId,
    publicKey: device.publicKey,
    signature: signPayload(device.privateKeyPem, fields.join("|")),
    signedAt,
    ...(version === "v1" ? {} : { nonce: challenge.nonce }),
  };
}

const lower = (text) => (text ?? "").trim().toLowerCase();
