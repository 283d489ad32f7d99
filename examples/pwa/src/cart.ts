/**
 * The cart: product ids and counts, kept on the device until the order is placed.
 *
 * Invariant: every line names a product that exists and a count of at least one.
 */

import { findProduct, type Product } from "./catalogue";

export interface CartLine {
  product: Product;
  count: number;
}

const STORED_AS = "deckle-row.cart";

/** The lines of the cart, in the order they were first added. */
export function cartLines(): CartLine[] {
  return Object.entries(stored()).flatMap(([id, count]) => {
    const product = findProduct(id);
    return product && Number.isInteger(count) && count > 0 ? [{ product, count }] : [];
  });
}

/** Number of pieces, for the badge in the header. */
export function cartCount(): number {
  return cartLines().reduce((sum, line) => sum + line.count, 0);
}

/** Value of the cart in cents, delivery not included. */
export function cartCents(): number {
  return cartLines().reduce((sum, line) => sum + line.count * line.product.cents, 0);
}

/** Put `by` more of a product in the cart; a negative `by` takes out, down to none. */
export function changeCart(id: string, by: number): void {
  const counts = stored();
  const count = (counts[id] ?? 0) + by;
  if (count > 0) counts[id] = count;
  else delete counts[id];
  localStorage.setItem(STORED_AS, JSON.stringify(counts));
}

/** Empty the cart. */
export function clearCart(): void {
  localStorage.removeItem(STORED_AS);
}

function stored(): Record<string, number> {
  try {
    return JSON.parse(localStorage.getItem(STORED_AS) ?? "{}");
  } catch {
    return {};
  }
}
