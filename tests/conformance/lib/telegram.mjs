// The platform behind a Telegram account: npm @openclaw/crabline, for tests of other folders too.
export { startTelegramServer } from "@openclaw/crabline";
