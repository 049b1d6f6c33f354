// Text of A2UI surfaces: headings, lists, emphasis and code. What else Markdown has (HTML, pictures, links) the
// specification leaves out, so everything is escaped first and nothing that the text holds becomes markup.

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}

function inline(text: string): string {
  return escaped(text)
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
    .replace(/\*([^*\s][^*]*)\*/g, '<em>$1</em>');
}

/** One block of lines that belong together. */
function block(lines: string[]): string {
  const heading = /^(#{1,5}) (.*)$/.exec(lines[0] ?? '');
  if (heading) {
    const level = heading[1]?.length ?? 1;
    const rest = lines.slice(1);
    return `<h${level}>${inline(heading[2] ?? '')}</h${level}>${rest.length > 0 ? block(rest) : ''}`;
  }
  if (lines.every((line) => /^[-*] /.test(line))) {
    return `<ul>${lines.map((line) => `<li>${inline(line.slice(2))}</li>`).join('')}</ul>`;
  }
  return `<p>${lines.map(inline).join('<br>')}</p>`;
}

export function markdown(text: string): string {
  const blocks = text.split(/\n\s*\n/).map((part) => part.split('\n').filter((line) => line.trim() !== ''));
  return blocks.filter((lines) => lines.length > 0).map(block).join('');
}
