// The model behind the daemon: aimock, speaking the wire format of a provider.
import { LLMock } from "@copilotkit/aimock";

/** How a daemon's config names the mock, by wire format. */
const APIS = {
  "openai-completions": { path: "/v1" },
  "anthropic-messages": { path: "" },
  "google-generative-ai": { path: "/v1beta" },
  ollama: { path: "" },
};

/**
 * The mock answers any message with `reply`, in chunks of a few characters, `latency` milliseconds apart.
 * `teach(mock)` may add answers of its own, which come first.
 */
export async function startModel(reply, { latency = 0, teach } = {}) {
  const mock = new LLMock({ port: 0, chunkSize: 8, latency });
  teach?.(mock);
  mock.onMessage(/[\s\S]*/, { content: reply });
  await mock.start();
  return {
    mock,
    reply,
    /** The part of a daemon's config that makes the mock its model. */
    config(api = "openai-completions") {
      return {
        models: {
          providers: {
            mock: {
              baseUrl: `${mock.url}${APIS[api].path}`,
              apiKey: "mock-key",
              api,
              models: [
                {
                  id: "mock-model",
                  name: "Mock model",
                  reasoning: false,
                  input: ["text"],
                  cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
                  contextWindow: 128000,
                  maxTokens: 4096,
                },
              ],
            },
          },
        },
        agents: { defaults: { model: { primary: "mock/mock-model" } } },
      };
    },
    requests: () => mock.getRequests(),
    stop: () => mock.stop(),
  };
}
