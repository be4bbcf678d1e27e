import type { Page } from '@polymode/db';

/** The envelope that the SDKs page through: they continue after the last item's id until `has_more` is false. */
export interface List<Item> {
  object: 'list';
  data: Item[];
  has_more: boolean;
  first_id: string | null;
  last_id: string | null;
}

export function toList<Row, Item extends { id: string }>(page: Page<Row>, toItem: (row: Row) => Item): List<Item> {
  const data = page.data.map(toItem);
  return {
    object: 'list',
    data,
    has_more: page.hasMore,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}
