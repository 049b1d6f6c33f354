import { svg, html, type TemplateResult } from 'lit';

const icon = (shape: TemplateResult) => html`<svg viewBox="0 0 24 24" aria-hidden="true">${shape}</svg>`;

export const icons = {
  menu: icon(svg`<path d="M4 7h16M4 12h16M4 17h10" />`),
  close: icon(svg`<path d="M6 6l12 12M18 6L6 18" />`),
  plus: icon(svg`<path d="M12 5.500v13M5.500 12h13" />`),
  send: icon(svg`<path d="M12 19V5M6 11l6-6 6 6" />`),
  stop: icon(svg`<rect x="7" y="7" width="10" height="10" rx="2" fill="currentColor" stroke="none" />`),
  down: icon(svg`<path d="M12 5v14M6 13l6 6 6-6" />`),
  copy: icon(svg`<rect x="9" y="9" width="11" height="11" rx="2.5" /><path d="M5 15V6.500A2.500 2.500 0 0 1 7.500 4H15" />`),
  check: icon(svg`<path d="M5 12.500l4.500 4.500L19 7.500" />`),
  sun: icon(svg`<circle cx="12" cy="12" r="4" /><path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600L7 7M17 17l1.400 1.400M18.400 5.600L17 7M7 17l-1.400 1.400" />`),
  moon: icon(svg`<path d="M19.500 14.200A8 8 0 0 1 9.800 4.500a8 8 0 1 0 9.700 9.700z" />`),
  system: icon(svg`<rect x="3.500" y="5" width="17" height="11.500" rx="2" /><path d="M9 20h6" />`),
  chat: icon(svg`<path d="M20 11.500a7.500 7.500 0 0 1-11 6.600L4.500 19.500l1.400-4A7.500 7.500 0 1 1 20 11.500z" />`),
  alert: icon(svg`<path d="M12 8.500v4.500M12 16.500v.01M10.500 4.600L3.200 17.200A1.700 1.700 0 0 0 4.700 19.700h14.600a1.700 1.700 0 0 0 1.500-2.500L13.500 4.600a1.700 1.700 0 0 0-3 0z" />`),
  brand: icon(svg`<path d="M6 18C4 10.500 6.500 5.500 10.500 3.500 9.800 6 10 8 11 9.500M18 18c2-7.500-.5-12.500-4.500-14.500.7 2.500.5 4.500-.5 6M6.500 19.500h11" />`),
};
