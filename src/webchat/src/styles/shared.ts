import { css } from 'lit';

/** What several components look like alike: buttons, fields, focus, text for screen readers only. */
export const shared = css`
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }

  :focus-visible {
    outline: 2px solid var(--accent);
    outline-offset: 2px;
  }

  button {
    font: inherit;
    color: inherit;
    background: none;
    border: 0;
    padding: 0;
    cursor: pointer;
  }

  button:disabled {
    cursor: default;
    opacity: 0.45;
  }

  .button {
    display: inline-flex;
    align-items: center;
    gap: 0.45rem;
    min-height: 2.25rem;
    padding: 0 0.95rem;
    border-radius: 999px;
    border: 1px solid var(--line);
    background: var(--surface);
    font-size: 0.9rem;
    font-weight: 500;
    white-space: nowrap;
  }

  .button:hover:not(:disabled) {
    background: var(--raised);
  }

  .button.primary {
    border-color: transparent;
    background: var(--accent);
    color: var(--on-accent);
  }

  .button.primary:hover:not(:disabled) {
    background: var(--accent-strong);
  }

  .button.quiet {
    border-color: transparent;
    background: none;
    color: var(--muted);
  }

  .button.quiet:hover:not(:disabled) {
    background: var(--raised);
    color: var(--text);
  }

  .button.danger {
    border-color: transparent;
    background: var(--danger-strong);
    color: #fff;
  }

  .field {
    width: 100%;
    min-height: 2.4rem;
    padding: 0.35rem 0.75rem;
    border: 1px solid var(--line);
    border-radius: 10px;
    background: var(--bg);
    color: inherit;
    font: inherit;
    font-size: 0.93rem;
  }

  select.field {
    padding-right: 0.4rem;
  }

  .field:focus-visible {
    outline-offset: 0;
  }

  .icon {
    display: inline-grid;
    place-items: center;
    width: 2.25rem;
    height: 2.25rem;
    border-radius: 10px;
    color: var(--muted);
  }

  .icon:hover:not(:disabled) {
    background: var(--raised);
    color: var(--text);
  }

  svg {
    display: block;
    width: 1.15rem;
    height: 1.15rem;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.8;
    stroke-linecap: round;
    stroke-linejoin: round;
  }

  code {
    font-family: var(--mono);
    font-size: 0.9em;
  }

  .sr-only {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }

  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation: none !important;
      transition: none !important;
      scroll-behavior: auto !important;
    }
  }
`;
