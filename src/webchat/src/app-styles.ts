import { css } from 'lit';

export const appStyles = css`
  :host {
    display: grid;
    grid-template-columns: 18rem minmax(0, 1fr);
    height: 100%;
  }

  main {
    display: flex;
    flex-direction: column;
    min-width: 0;
    min-height: 0;
    height: 100%;
  }

  .side {
    min-height: 0;
  }

  oc-session-list {
    flex: 1;
    min-height: 0;
  }

  header {
    display: flex;
    align-items: center;
    gap: 0.7rem;
    min-height: 3.5rem;
    padding: 0 1.1rem;
  }

  h1 {
    overflow: hidden;
    margin: 0;
    font-size: 1rem;
    font-weight: 620;
    letter-spacing: -0.01em;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .grow {
    flex: 1;
  }

  .menu {
    display: none;
    flex: none;
    margin-left: -0.5rem;
  }

  h1:focus-visible {
    outline: none;
  }

  .place {
    display: flex;
    flex-direction: column;
  }

  .place > * {
    flex: 1;
  }

  .place,
  oc-thread,
  oc-elsewhere,
  oc-gate {
    flex: 1;
    min-height: 0;
  }

  .banner {
    display: flex;
    align-items: center;
    gap: 0.7rem;
    width: calc(100% - 2rem);
    max-width: calc(var(--column) - 2.5rem);
    margin: 0 auto 0.6rem;
    padding: 0.55rem 0.9rem;
    border-radius: var(--radius);
    background: var(--warn-bg);
    font-size: 0.88rem;
    line-height: 1.45;
  }

  .banner > span {
    flex: 1;
    overflow-wrap: anywhere;
  }

  .banner svg {
    flex: none;
    color: var(--warn);
  }

  .banner.danger {
    background: var(--danger-bg);
  }

  .banner.danger svg {
    color: var(--danger);
  }

  .when {
    color: var(--muted);
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }

  @media (max-width: 56rem) {
    :host {
      grid-template-columns: minmax(0, 1fr);
    }

    .menu {
      display: inline-grid;
    }

    .side {
      position: fixed;
      inset: 0 auto 0 0;
      z-index: 2;
      width: min(20rem, 86vw);
      visibility: hidden;
      translate: -100% 0;
      transition:
        translate 0.18s ease-out,
        visibility 0.18s;
    }

    .side[data-open] {
      visibility: visible;
      translate: 0 0;
      box-shadow: var(--shadow);
    }

    .shade {
      position: fixed;
      inset: 0;
      z-index: 1;
      background: #0006;
    }

    header {
      padding: 0 0.9rem;
    }
  }
`;
