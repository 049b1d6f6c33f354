import { css } from 'lit';

export const messageStyles = css`
  article {
    display: flex;
    flex-direction: column;
    gap: 0.6rem;
  }

  article.user {
    align-items: flex-end;
  }

  .bubble {
    max-width: min(85%, 36rem);
    padding: 0.6rem 1rem;
    border-radius: 18px 18px 5px 18px;
    background: var(--bubble);
    overflow-wrap: anywhere;
  }

  .bubble p {
    margin: 0;
    white-space: pre-wrap;
  }

  .bubble > * + * {
    margin-top: 0.5rem;
  }

  [data-delivery='sending'] .bubble {
    opacity: 0.65;
  }

  article.note {
    color: var(--muted);
    font-size: 0.9rem;
    text-align: center;
  }

  p {
    margin: 0;
  }

  .muted,
  .waiting,
  .stopped {
    color: var(--muted);
  }

  .stopped {
    font-size: 0.85rem;
  }

  .waiting {
    display: flex;
    align-items: center;
    gap: 0.6rem;
  }

  .dots {
    display: inline-flex;
    gap: 4px;
  }

  .dots i {
    width: 7px;
    height: 7px;
    border-radius: 50%;
    background: var(--accent);
    animation: breathe 1.3s ease-in-out infinite;
  }

  .dots i:nth-child(2) {
    animation-delay: 0.18s;
  }

  .dots i:nth-child(3) {
    animation-delay: 0.36s;
  }

  @keyframes breathe {
    0%,
    70%,
    100% {
      opacity: 0.25;
    }
    35% {
      opacity: 1;
    }
  }

  .problem {
    display: flex;
    gap: 0.7rem;
    max-width: 100%;
    padding: 0.8rem 1rem;
    border-radius: var(--radius);
    background: var(--danger-bg);
    font-size: 0.93rem;
    overflow-wrap: anywhere;
  }

  .problem > svg {
    flex: none;
    margin-top: 0.2rem;
    color: var(--danger);
  }

  .problem > div {
    min-width: 0;
  }

  .problem p {
    margin-top: 0.35rem;
  }

  .said {
    white-space: pre-wrap;
  }

  .actions {
    display: flex;
    flex-wrap: wrap;
    gap: 0.4rem;
    margin-top: 0.65rem;
  }

  details {
    font-size: 0.9rem;
  }

  summary {
    width: fit-content;
    color: var(--muted);
    cursor: pointer;
  }

  .aside {
    padding-left: 0.8rem;
    border-left: 2px solid var(--line);
  }

  .thoughts {
    margin-top: 0.4rem;
    color: var(--muted);
    white-space: pre-wrap;
  }

  details pre {
    margin: 0.5rem 0 0;
    padding: 0.6rem 0.8rem;
    border-radius: 10px;
    background: var(--code);
    font: 0.82rem/1.5 var(--mono);
    overflow-x: auto;
    white-space: pre-wrap;
  }

  img {
    display: block;
    max-width: 100%;
    max-height: 24rem;
    border-radius: var(--radius);
  }

  footer {
    display: flex;
    align-items: center;
    gap: 0.35rem;
    height: 1.5rem;
    margin-top: -0.35rem;
    color: var(--muted);
    font-size: 0.76rem;
  }

  .facts {
    overflow: hidden;
    max-width: 28rem;
    text-overflow: ellipsis;
    white-space: nowrap;
  }

  .link {
    color: var(--accent);
    font-size: 0.76rem;
    text-decoration: underline;
    text-underline-offset: 2px;
  }

  .file {
    display: flex;
    align-items: center;
    gap: 0.5rem;
    font-size: 0.9rem;
  }

  .picture {
    display: block;
    width: fit-content;
    max-width: 100%;
  }

  summary svg {
    display: inline-block;
    width: 0.95rem;
    height: 0.95rem;
    margin-right: 0.4rem;
    vertical-align: -0.14em;
  }

  .copy-all {
    display: grid;
    place-items: center;
    width: 1.75rem;
    height: 1.5rem;
    border-radius: 7px;
  }

  .copy-all svg {
    width: 0.95rem;
    height: 0.95rem;
  }

  .copy-all:hover {
    background: var(--raised);
    color: var(--text);
  }

  /* Where a pointer can hover, what is beside the text stays out of the way until it is wanted. */
  @media (hover: hover) {
    footer > :not(.stay) {
      opacity: 0;
      transition: opacity 0.12s;
    }

    article:hover footer > *,
    article:focus-within footer > * {
      opacity: 1;
    }
  }
`;
