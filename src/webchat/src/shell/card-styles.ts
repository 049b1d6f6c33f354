import { css } from 'lit';

/** A card in the middle that takes the place of the conversation: one thing has to be decided or mended first. */
export const cardStyles = css`
  :host {
    display: grid;
    place-items: center;
    min-height: 0;
    padding: 1.5rem;
    overflow-y: auto;
  }

  section {
    width: 100%;
    max-width: 32rem;
    padding: 2rem;
    border: 1px solid var(--line);
    border-radius: 20px;
    background: var(--surface);
    box-shadow: var(--shadow);
  }

  h2 {
    margin: 0 0 0.5rem;
    font-size: 1.3rem;
    font-weight: 620;
    letter-spacing: -0.01em;
    line-height: 1.3;
  }

  p {
    margin: 0 0 1rem;
    color: var(--muted);
  }

  .row {
    display: flex;
    align-items: center;
    gap: 0.8rem;
    margin-bottom: 1rem;
    color: var(--muted);
    font-size: 0.85rem;
  }
`;
