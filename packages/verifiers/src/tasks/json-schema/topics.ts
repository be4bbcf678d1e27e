/** What a field may hold: one of some words, a whole number of a range, a flag, or a list of some words. */
export type FieldKind =
  | { readonly one: readonly string[] }
  | { readonly range: readonly [least: number, most: number] }
  | { readonly flag: true }
  | { readonly some: readonly string[] };

export interface Topic {
  readonly request: string;
  readonly fields: Readonly<Record<string, FieldKind>>;
  /** what there are two or more kinds of, each with fields of its own */
  readonly kinds: readonly string[];
}

const flag = { flag: true } as const;
const one = (...words: string[]): FieldKind => ({ one: words });
const some = (...words: string[]): FieldKind => ({ some: words });
const range = (least: number, most: number): FieldKind => ({ range: [least, most] });

/** Everyday things to make up. */
export const TOPICS: readonly Topic[] = [
  {
    request: 'Make up a support ticket.',
    kinds: ['question', 'incident', 'refund'],
    fields: {
      status: one('open', 'waiting', 'solved', 'closed'),
      channel: one('mail', 'phone', 'chat', 'web'),
      priority: range(1, 5),
      escalated: flag,
      tags: some('billing', 'login', 'delivery', 'bug'),
      language: one('en', 'de', 'fr', 'es', 'pt'),
    },
  },
  {
    request: 'Make up an order at a café.',
    kinds: ['drink', 'food'],
    fields: {
      size: one('small', 'medium', 'large'),
      item: one('espresso', 'tea', 'cocoa', 'juice', 'bagel'),
      sugar: range(0, 4),
      to_go: flag,
      extras: some('milk', 'cinnamon', 'ice', 'lemon'),
      table: range(1, 12),
    },
  },
  {
    request: 'Make up a reading of a sensor.',
    kinds: ['temperature', 'humidity', 'motion'],
    fields: {
      room: one('kitchen', 'hall', 'cellar', 'attic'),
      level: range(0, 9),
      battery_low: flag,
      unit: one('C', 'F', 'K'),
      alarms: some('smoke', 'door', 'window', 'leak'),
      floor: range(-1, 3),
    },
  },
  {
    request: 'Make up a booking of a train.',
    kinds: ['single', 'return', 'pass'],
    fields: {
      class: range(1, 2),
      seat: one('window', 'aisle', 'table'),
      passengers: range(1, 6),
      quiet: flag,
      luggage: some('bag', 'bike', 'skis', 'pram'),
      day: one('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'),
    },
  },
  {
    request: 'Make up the settings of an editor.',
    kinds: ['user', 'workspace'],
    fields: {
      theme: one('light', 'dark', 'contrast'),
      indent: range(1, 8),
      wrap: flag,
      eol: one('lf', 'crlf'),
      rulers: some('left', 'right', 'minimap', 'status'),
      cursor: one('line', 'block', 'bar'),
    },
  },
  {
    request: 'Make up a plant in a garden.',
    kinds: ['herb', 'tree', 'flower'],
    fields: {
      color: one('white', 'yellow', 'red', 'blue', 'violet'),
      height_dm: range(1, 20),
      evergreen: flag,
      soil: one('sand', 'loam', 'clay', 'peat'),
      months: some('apr', 'may', 'jun', 'jul'),
      water: range(1, 3),
    },
  },
];
