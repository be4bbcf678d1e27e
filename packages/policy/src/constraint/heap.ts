/** Numbers with a cost each, cheapest first. */
export class Heap {
  private readonly items: number[] = [];
  private readonly costs: number[] = [];

  get size(): number {
    return this.items.length;
  }

  push(item: number, cost: number): void {
    let at = this.items.length;
    this.items.push(item);
    this.costs.push(cost);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.costs[parent]! <= cost) break;
      this.swap(at, parent);
      at = parent;
    }
  }

  /** @returns the cheapest item, which is taken out; there has to be one */
  pop(): { item: number; cost: number } {
    const [item, cost] = [this.items[0]!, this.costs[0]!];
    const [lastItem, lastCost] = [this.items.pop()!, this.costs.pop()!];
    if (this.items.length > 0) {
      this.items[0] = lastItem;
      this.costs[0] = lastCost;
      this.sink();
    }
    return { item, cost };
  }

  private sink(): void {
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.items.length && this.costs[child]! < this.costs[least]!) least = child;
      }
      if (least === at) return;
      this.swap(at, least);
      at = least;
    }
  }

  private swap(a: number, b: number): void {
    [this.items[a], this.items[b]] = [this.items[b]!, this.items[a]!];
    [this.costs[a], this.costs[b]] = [this.costs[b]!, this.costs[a]!];
  }
}
