/** Everything a page's origin keeps on the device, as text: for looking for what must not be there. */

import type { Page } from "playwright-core";

/** Cookies, local and session storage, every record of every IndexedDB database. */
export async function storedOnDevice(page: Page): Promise<string> {
  const inPage = await page.evaluate(async () => {
    const databases: unknown[] = [];
    for (const { name } of await indexedDB.databases()) {
      if (!name) continue;
      const db = await new Promise<IDBDatabase>((resolve, reject) => {
        const opening = indexedDB.open(name);
        opening.onsuccess = () => resolve(opening.result);
        opening.onerror = () => reject(opening.error);
      });
      for (const store of Array.from(db.objectStoreNames)) {
        const records = await new Promise<unknown>((resolve, reject) => {
          const asking = db.transaction(store).objectStore(store).getAll();
          asking.onsuccess = () => resolve(asking.result);
          asking.onerror = () => reject(asking.error);
        });
        databases.push({ name, store, records });
      }
      db.close();
    }
    return JSON.stringify({
      cookie: document.cookie,
      local: { ...localStorage },
      session: { ...sessionStorage },
      databases,
    });
  });
  return inPage + JSON.stringify(await page.context().cookies());
}
