/** A small line over time, as SVG; no script of others, no style in attributes. */
import { svg, html, type TemplateResult } from 'lit';

/** Values that are kept: two minutes of one a second. */
export const SAMPLES = 120;
const HEIGHT = 40;

/** The points of the line: the newest at the right edge, the highest a little below the top. */
export function pointsOf(series: readonly number[]): [number, number][] {
  const top = Math.max(...series, 0);
  const scale = top === 0 ? 0 : (HEIGHT - 6) / top;
  return series.map((value, index) => [SAMPLES - series.length + index + 1, Math.round((HEIGHT - 2 - value * scale) * 10) / 10]);
}

export function plot(series: readonly number[], label: string): TemplateResult {
  const points = pointsOf(series);
  const line = points.map(([x, y]) => `${x},${y}`).join(' ');
  const first = points[0]?.[0] ?? SAMPLES;
  return html`<svg class="plot" viewBox="0 0 ${SAMPLES} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${svg`<polygon class="area" points=${`${first},${HEIGHT} ${line} ${SAMPLES},${HEIGHT}`}></polygon><polyline class="line" points=${line}></polyline>`}
  </svg>`;
}
