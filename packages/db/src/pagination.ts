/** One page of a list. */
export interface Page<T> {
  data: T[];
  /** Whether more items follow the last one of `data`. */
  hasMore: boolean;
}

export interface PageRequest {
  /** Continue after the item with this id; the first page when absent. An id that is not in the list throws UnknownCursorError. */
  after?: string | undefined;
  /** Most items to return, at least 1. */
  limit: number;
}

/** Makes a page of rows that were read with `limit + 1`. */
export function toPage<Row, T>(rows: Row[], limit: number, map: (row: Row) => T): Page<T> {
  return { data: rows.slice(0, limit).map(map), hasMore: rows.length > limit };
}
