import { css } from 'lit';

export const composerStyles = css`
  :host {
    display: block;
    padding: 0 1.25rem max(0.7rem, env(safe-area-inset-bottom));
  }

  form {
    padding: 0.45rem 0.45rem 0.45rem 0.55rem;
    border: 1px solid var(--line);
    border-radius: 1.5rem;
    background: var(--surface);
    box-shadow: var(--shadow);
    transition: border-color 0.12s;
  }

  form:focus-within {
    border-color: var(--accent);
  }

  textarea {
    flex: 1;
    min-width: 0;
    margin: 0.3rem 0;
    padding: 0;
    border: 0;
    outline: 0;
    background: none;
    color: inherit;
    font: inherit;
    line-height: 1.5;
    resize: none;
  }

  /* The whole field shows the focus. */
  textarea:focus-visible {
    outline: none;
  }

  textarea::placeholder {
    color: var(--muted);
    opacity: 1;
  }

  .round {
    display: grid;
    flex: none;
    place-items: center;
    width: 2.35rem;
    height: 2.35rem;
    border-radius: 50%;
    background: var(--accent);
    color: var(--on-accent);
  }

  .round:hover:not(:disabled) {
    background: var(--accent-strong);
  }

  .round:disabled {
    background: var(--raised);
    color: var(--muted);
    opacity: 1;
  }

  .stop {
    background: var(--text);
    color: var(--bg);
  }

  .stop:hover:not(:disabled) {
    background: var(--muted);
  }

  .hint {
    max-width: var(--column);
    min-height: 1.2rem;
    margin: 0.4rem auto 0;
    color: var(--muted);
    font-size: 0.74rem;
    text-align: center;
  }

  @media (max-width: 40rem) {
    :host {
      padding: 0 0.75rem max(0.75rem, env(safe-area-inset-bottom));
    }

    .hint {
      display: none;
    }
  }

  .box {
    position: relative;
    max-width: calc(var(--column) - 2.5rem);
    margin: 0 auto;
  }

  .row {
    display: flex;
    align-items: flex-end;
    gap: 0.5rem;
  }

  .box[data-over] form {
    border-color: var(--accent);
    background: var(--raised);
  }

  .attach {
    flex: none;
    width: 2.35rem;
    height: 2.35rem;
    border-radius: 50%;
  }

  .files {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem;
    margin: 0;
    padding: 0.35rem 0 0.2rem;
    list-style: none;
  }

  .files li {
    position: relative;
    display: flex;
    align-items: center;
    gap: 0.5rem;
    max-width: 15rem;
    height: 3.4rem;
    padding: 0 0.8rem;
    border-radius: 10px;
    background: var(--raised);
    font-size: 0.8rem;
  }

  .files li[data-picture] {
    padding: 0;
  }

  .files img {
    width: 3.4rem;
    height: 3.4rem;
    border-radius: 10px;
    object-fit: cover;
  }

  .files span {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .files button {
    position: absolute;
    top: -0.4rem;
    right: -0.4rem;
    display: grid;
    place-items: center;
    width: 1.5rem;
    height: 1.5rem;
    border: 1px solid var(--line);
    border-radius: 50%;
    background: var(--surface);
  }

  .files button svg {
    width: 0.8rem;
    height: 0.8rem;
  }

  .note {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    padding: 0.3rem 0 0.1rem;
    color: var(--muted);
    font-size: 0.82rem;
  }

  .note[data-bad] {
    color: var(--danger);
  }

  .note span {
    flex: 1;
  }

  .commands {
    position: absolute;
    bottom: calc(100% + 0.4rem);
    left: 0;
    right: 0;
    z-index: 3;
    max-height: min(19rem, 45vh);
    overflow-y: auto;
    margin: 0;
    padding: 0.3rem;
    border: 1px solid var(--line);
    border-radius: 14px;
    background: var(--surface);
    box-shadow: var(--shadow);
    list-style: none;
  }

  .commands li {
    display: flex;
    align-items: baseline;
    gap: 0.8rem;
    padding: 0.35rem 0.7rem;
    border-radius: 9px;
    font-size: 0.9rem;
    cursor: pointer;
  }

  .commands li[aria-selected='true'] {
    background: var(--raised);
  }

  .commands code {
    flex: none;
    min-width: 6rem;
    font-weight: 550;
  }

  .commands span {
    overflow: hidden;
    color: var(--muted);
    text-overflow: ellipsis;
    white-space: nowrap;
  }
`;
