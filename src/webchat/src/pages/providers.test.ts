import { expect, it } from 'vitest';
import { PROVIDERS, patchOf, problemsOf, type ModelForm } from './providers';

const form = (id: string, more: Partial<ModelForm> = {}): ModelForm => {
  const provider = PROVIDERS.find((choice) => choice.id === id)!;
  return { provider, address: provider.address ?? '', key: '', model: provider.example, ...more };
};

it('asks for what a provider needs, and no more', () => {
  expect(problemsOf(form('anthropic'))).toEqual(['key']);
  expect(problemsOf(form('anthropic', { key: 'k' }))).toEqual([]);
  expect(problemsOf(form('ollama'))).toEqual([]);
  expect(problemsOf(form('', { address: 'localhost:8000', model: ' ' }))).toEqual(['address', 'model']);
});

it('writes the provider and makes its model the default', () => {
  expect(patchOf(form('anthropic', { key: ' sk ' }))).toEqual({
    models: { providers: { anthropic: { apiKey: 'sk' } } },
    agents: { defaults: { model: { primary: 'anthropic/claude-sonnet-4-5' } } },
  });
  expect(patchOf(form('', { address: 'http://127.0.0.1:8000/v1/', model: 'small' }))).toEqual({
    models: { providers: { mine: { baseUrl: 'http://127.0.0.1:8000/v1', api: 'openai-completions', models: [{ id: 'small', name: 'small' }] } } },
    agents: { defaults: { model: { primary: 'mine/small' } } },
  });
});
