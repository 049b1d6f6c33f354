/** What a newcomer can choose as a model, and the change of the configuration that this means. */

export interface ProviderChoice {
  /** Its id in the configuration; empty: the person names it. */
  id: string;
  name: string;
  /** `null`: it has an address of its own. */
  address: string | null;
  needsKey: boolean;
  /** A model that is there today. */
  example: string;
  /** Where keys are made; shown, never opened by itself. */
  keys: string | null;
}

export const PROVIDERS: readonly ProviderChoice[] = [
  { id: 'anthropic', name: 'Anthropic (Claude)', address: null, needsKey: true, example: 'claude-sonnet-4-5', keys: 'console.anthropic.com' },
  { id: 'openai', name: 'OpenAI', address: null, needsKey: true, example: 'gpt-5', keys: 'platform.openai.com' },
  { id: 'google', name: 'Google (Gemini)', address: null, needsKey: true, example: 'gemini-2.5-pro', keys: 'aistudio.google.com' },
  { id: 'openrouter', name: 'OpenRouter', address: null, needsKey: true, example: 'openai/gpt-5', keys: 'openrouter.ai' },
  { id: 'deepseek', name: 'DeepSeek', address: null, needsKey: true, example: 'deepseek-chat', keys: 'platform.deepseek.com' },
  { id: 'ollama', name: 'Ollama', address: 'http://127.0.0.1:11434', needsKey: false, example: 'llama3.2', keys: null },
  { id: '', name: '', address: 'http://127.0.0.1:8000/v1', needsKey: false, example: 'my-model', keys: null },
];

export interface ModelForm {
  provider: ProviderChoice;
  address: string;
  key: string;
  model: string;
}

/** The id of the provider in the configuration. */
export function providerId(form: ModelForm): string {
  return form.provider.id === '' ? 'mine' : form.provider.id;
}

/** What is wrong with the form, by field; empty when it can be saved. */
export function problemsOf(form: ModelForm): ('address' | 'key' | 'model')[] {
  const problems: ('address' | 'key' | 'model')[] = [];
  if (form.provider.address !== null && !/^https?:\/\/[^\s/]+/.test(form.address.trim())) problems.push('address');
  if (form.provider.needsKey && form.key.trim() === '') problems.push('key');
  if (form.model.trim() === '') problems.push('model');
  return problems;
}

/** The merge patch for `config.patch`: the provider's entry, and it as the model of every agent. */
export function patchOf(form: ModelForm): object {
  const id = providerId(form);
  const model = form.model.trim();
  const own = form.provider.id === '';
  const entry = {
    ...(form.key.trim() === '' ? {} : { apiKey: form.key.trim() }),
    ...(form.provider.address === null ? {} : { baseUrl: form.address.trim().replace(/\/+$/, '') }),
    ...(own ? { api: 'openai-completions', models: [{ id: model, name: model }] } : {}),
  };
  const providers = Object.keys(entry).length === 0 ? {} : { models: { providers: { [id]: entry } } };
  return { ...providers, agents: { defaults: { model: { primary: `${id}/${model}` } } } };
}
