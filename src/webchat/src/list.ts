import { noChange } from 'lit';
import { directive, Directive, PartType, type ChildPart, type DirectiveResult, type PartInfo } from 'lit/directive.js';
import { getCommittedValue, insertPart, removePart, setChildPartValue, setCommittedValue } from 'lit/directive-helpers.js';

type Key = string | number;

/**
 * Templates of items that keep their elements while others come and go before them, as lit's `repeat` does. That one
 * (3.3.3) leaves a comment node for each item that goes, which a page that is open for weeks never gets rid of.
 */
class List extends Directive {
  #keys: Key[] = [];

  constructor(info: PartInfo) {
    super(info);
    if (info.type !== PartType.CHILD) throw new Error('list() stands between elements only');
  }

  render<T>(items: readonly T[], _key: (item: T) => Key, template: (item: T) => unknown): unknown {
    return items.map(template);
  }

  override update(container: ChildPart, [items, key, template]: Parameters<this['render']>): unknown {
    const before = getCommittedValue(container) as ChildPart[] | undefined;
    const earlier = this.#keys;
    this.#keys = items.map(key);
    const values = items.map(template);
    // At first lit makes the parts.
    if (!Array.isArray(before)) return values;

    const wanted = new Set(this.#keys);
    const known = new Map<Key, { part: ChildPart; at: number }>();
    before.forEach((part, at) => {
      const name = earlier[at];
      if (name !== undefined && wanted.has(name)) known.set(name, { part, at });
      else remove(part);
    });
    // From the last to the first: then it is known before what each has to stand.
    const parts: ChildPart[] = [];
    let next: ChildPart | undefined;
    let place = Number.POSITIVE_INFINITY;
    for (let index = values.length - 1; index >= 0; index -= 1) {
      const found = known.get(this.#keys[index] as Key);
      let part: ChildPart;
      if (found !== undefined && found.at < place) {
        part = found.part;
        place = found.at;
      } else {
        part = insertPart(container, next, found?.part) as ChildPart;
      }
      parts[index] = next = setChildPartValue(part, values[index]);
    }
    setCommittedValue(container, parts);
    return noChange;
  }
}

function remove(part: ChildPart): void {
  const end = part.endNode;
  removePart(part);
  (end as ChildNode | null)?.remove();
}

/** `list(items, key, template)`: what `template` makes of each item, kept by its key, which is in it once. */
export const list = directive(List) as <T>(items: readonly T[], key: (item: T) => Key, template: (item: T) => unknown) => DirectiveResult;
